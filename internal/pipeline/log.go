package pipeline

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/tasks"
)

// logSetback says why a task is to be run again: once a minute for each stage and reason, because
// what is away is away for all jobs. What costs no attempt is seen on the job, as its hold, and
// logged when that begins and ends.
func (p *Pipeline) logSetback(ctx context.Context, job *tasks.Job, stage tasks.Stage, err error) {
	var s *setback
	if !errors.As(err, &s) {
		return
	}
	level, held := slog.LevelDebug, 0
	if s.class == transient {
		var pass bool
		if held, pass = p.setbacks.pass(string(stage)+" "+s.code, p.now()); pass {
			level = slog.LevelWarn
		}
	}
	retried, _ := asynq.GetRetryCount(ctx)
	p.log.Log(ctx, level, "to be tried again", append([]any{"job", job.ID, "state", job.State, "stage", stage, "attempt", retried + 1, "reason", err}, notShown(held)...)...)
}

// logOnce says the same of many jobs, or to many strangers, once a minute; at debug level always.
func (p *Pipeline) logOnce(ctx context.Context, level slog.Level, words, about string, a ...any) {
	held, pass := p.setbacks.pass(words+" "+about, p.now())
	if !pass {
		level = slog.LevelDebug
	}
	p.log.Log(ctx, level, words, append(a, notShown(held)...)...)
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
	if job.State == tasks.Creating && len(job.Attempts) > 1 || job.State == tasks.Pending && from.State == tasks.Creating {
		level = slog.LevelDebug // a purchase that is tried again: logSetback says it for all
	}
	if e := job.Error; e != nil && job.State.Settled() {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stage", e.Stage), slog.String("code", e.Code), slog.String("reason", e.Message), slog.String("hint", e.Hint))
	}
	if job.Remote != nil {
		attrs = append(attrs, slog.String("remote", string(*job.Remote)))
	}
	p.log.LogAttrs(ctx, level, string(job.State), attrs...)
}
