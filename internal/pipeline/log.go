package pipeline

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/tasks"
)

// logSetback says why a task is to be run again. What costs no attempt is seen on the job, as its
// hold, and logged when that begins and ends.
func (p *Pipeline) logSetback(ctx context.Context, job *tasks.Job, stage tasks.Stage, err error) {
	var s *setback
	switch {
	case !errors.As(err, &s):
	case s.class == transient:
		retried, _ := asynq.GetRetryCount(ctx)
		p.log.WarnContext(ctx, "to be tried again", "job", job.ID, "state", job.State, "stage", stage, "attempt", retried+1, "reason", err)
	default:
		p.log.DebugContext(ctx, "to be tried again", "job", job.ID, "state", job.State, "stage", stage, "reason", err)
	}
}

// logTransition writes the one line that a job's step from state to state is worth.
func (p *Pipeline) logTransition(ctx context.Context, from, job *tasks.Job) {
	attrs := []slog.Attr{slog.String("job", job.ID), slog.String("operation", job.Operation)}
	if from != job {
		attrs = append(attrs, slog.String("from", string(from.State)))
	}
	if job.ProjectID != "" {
		attrs = append(attrs, slog.String("project", job.ProjectID))
	}
	level := slog.LevelInfo
	if e := job.Error; e != nil && job.State.Settled() {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stage", e.Stage), slog.String("code", e.Code), slog.String("reason", e.Message), slog.String("hint", e.Hint))
	}
	if job.Remote != nil {
		attrs = append(attrs, slog.String("remote", string(*job.Remote)))
	}
	p.log.LogAttrs(ctx, level, string(job.State), attrs...)
}
