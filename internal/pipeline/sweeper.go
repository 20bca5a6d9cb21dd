package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	// grace is how long after its task was due a job counts as overdue. Asynq recovers the
	// task of a dead worker by itself in 55 to 120 s, so the sweeper sees what is lost.
	grace = 5 * time.Minute

	sweepEvery  = 15 * time.Second
	sweepAtMost = 100 // jobs in one sweep

	// strayAfter is how long an overdue entry without a record is kept: Submit writes the
	// deadline first, and may be slow to write the record.
	strayAfter = time.Hour
)

// Sweep puts the jobs that are overdue back on the road, and returns how many it looked at. Any
// worker may sweep at any time.
func (p *Pipeline) Sweep(ctx context.Context) (int, error) {
	late, err := p.records.Overdue(ctx, sweepAtMost)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, o := range late {
		if err := p.sweep(ctx, o); err != nil {
			errs = append(errs, fmt.Errorf("sweep job %s: %w", o.Job, err))
		}
	}
	return len(late), errors.Join(errs...)
}

// SweepEvery sweeps until ctx ends.
func (p *Pipeline) SweepEvery(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.after(sweepEvery):
		}
		if _, err := p.Sweep(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "sweep failed; the next one tries again", "reason", err)
		}
	}
}

func (p *Pipeline) sweep(ctx context.Context, o records.Overdue) error {
	r, err := p.load(ctx, o.Job)
	switch {
	case errors.Is(err, records.ErrNotFound) && o.By < strayAfter:
		return nil
	case errors.Is(err, records.ErrNotFound):
		return p.records.ClearDeadline(ctx, o.Job)
	case err != nil:
		return err
	case r.job.State.Settled():
		return p.leave(ctx, r.job)
	}
	next := r.job.Next()
	info, err := p.inspector.GetTaskInfo(next.Stage().Queue(), tasks.TaskID(next))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		p.log.WarnContext(ctx, "task lost; enqueued again", "job", o.Job, "task", tasks.TaskID(next))
		if err := p.records.SetDeadline(ctx, o.Job, grace); err != nil {
			return err
		}
		return p.handOn(ctx, r.job, 0)
	}
	if err != nil {
		return err
	}
	return p.sweepTask(ctx, r, info)
}

// sweepTask looks at the task that a job waits for. One that is still to run only needs time.
func (p *Pipeline) sweepTask(ctx context.Context, r *record, info *asynq.TaskInfo) error {
	var decide decision
	switch info.State {
	case asynq.TaskStateCompleted:
		decide = nextEpoch
	case asynq.TaskStateArchived:
		decide = p.afterArchived(info)
	default:
		return p.records.SetDeadline(ctx, r.job.ID, grace)
	}
	p.log.WarnContext(ctx, "job overdue", "job", r.job.ID, "state", r.job.State, "task", info.ID, "task_state", info.State.String())
	out, err := p.update(ctx, r, p.within(r.job, decide))
	if err != nil {
		return err
	}
	return p.handOn(ctx, r.job, out.in)
}

// nextEpoch puts a job back on the road whose task id is taken by a finished task.
func nextEpoch(job *tasks.Job) outcome {
	job.Epoch++
	return outcome{}
}

// afterArchived decides for a job whose task Asynq has archived without the job's knowing: its
// worker died at every try.
func (p *Pipeline) afterArchived(info *asynq.TaskInfo) decision {
	why := "its task was archived: " + info.LastErr
	return func(job *tasks.Job) outcome {
		mark := job.Mark()
		switch {
		case mark != nil:
			return p.parked(mark.Token, why)(job)
		case job.State == tasks.Cleaning:
			job.Epoch++
			return outcome{in: longestBackoff}
		}
		fail(job, stageOf(job.State), verdict{code: codeAttempts, message: why, hint: "see the worker's log for what it died of; then submit the request under a new id"})
		return outcome{}
	}
}
