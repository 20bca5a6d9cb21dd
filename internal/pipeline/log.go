package pipeline

import (
	"context"
	"log/slog"

	"github.com/seed-290c2414/hourglass/tasks"
)

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
