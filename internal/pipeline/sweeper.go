package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	sweepPage   = 100    // jobs that are asked for at once
	sweepAtMost = 10_000 // jobs in one sweep

	errorsAtMost = 10 // that a sweep tells of

	// strayAfter is how long an overdue entry without a record is kept: Submit writes the
	// deadline first, and may be slow to write the record.
	strayAfter = time.Hour
)

// Sweep puts the jobs that are overdue back on the road, and returns how many it looked at. Any
// worker may sweep at any time. What it can't deal with gets time, so that it does not stand in
// the way of others.
func (p *Pipeline) Sweep(ctx context.Context) (int, error) {
	errs := []error{p.forget(ctx), p.probe(ctx)}
	looked, left := 0, 0
	for looked < sweepAtMost {
		late, err := p.records.Overdue(ctx, left, sweepPage)
		if err != nil {
			return looked, errors.Join(append(errs, err)...)
		}
		for _, o := range late {
			stays, err := p.sweep(ctx, o)
			if err != nil {
				err = fmt.Errorf("sweep job %s: %w", o.Job, err)
				if late := p.records.SetDeadline(ctx, o.Job, grace); late != nil {
					return looked, errors.Join(append(errs, err, late)...) // Redis takes nothing: the next sweep comes soon
				}
				if len(errs) < errorsAtMost {
					errs = append(errs, err)
				}
			}
			if stays {
				left++
			}
		}
		looked += len(late)
		if len(late) < sweepPage {
			break
		}
	}
	return looked, errors.Join(append(errs, p.sweepSightings(ctx))...)
}

// forget drops ended jobs from the index once their records have expired.
func (p *Pipeline) forget(ctx context.Context) error {
	var errs []error
	for _, state := range tasks.States() {
		if state.Ended() {
			errs = append(errs, p.records.Forget(ctx, string(state), p.set.RecordTTL))
		}
	}
	return errors.Join(append(errs, p.records.Forget(ctx, undeletedJobs, undeletedFor))...)
}

// SweepEvery sweeps until ctx ends, the window beside it, and keeps the plans of polls up to date.
func (p *Pipeline) SweepEvery(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { p.sweepWindowEvery(ctx) })
	for {
		if err := p.nameQueues(ctx); err != nil && ctx.Err() == nil {
			p.log.DebugContext(ctx, "the queues may not be listed", "reason", err)
		}
		if err := p.lookAtRenders(ctx); err != nil {
			p.log.DebugContext(ctx, "polls go on as planned before", "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.after(sweepEvery):
		}
		if _, err := p.Sweep(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "sweep failed; the next one tries again", "reason", err)
		}
		p.tidyStore(ctx)
	}
}

func (p *Pipeline) nameQueues(ctx context.Context) error {
	var queues []any
	for _, stage := range tasks.Served() {
		queues = append(queues, stage.Queue())
	}
	return p.records.NameQueues(ctx, queues...)
}

// sweep looks at one job, and reports whether its deadline stays as it is.
func (p *Pipeline) sweep(ctx context.Context, o records.Overdue) (stays bool, err error) {
	r, err := p.load(ctx, o.Job)
	switch {
	case errors.Is(err, records.ErrNotFound) && o.By < strayAfter:
		return true, nil // a Submit may be about to write the record
	case errors.Is(err, records.ErrNotFound):
		return false, errors.Join(p.records.ClearDeadline(ctx, o.Job, o.Deadline), p.records.Clear(ctx, string(tasks.Pending), o.Job, strayAfter))
	case err != nil:
		return false, err
	}
	if err := p.sweepNotices(ctx, r); err != nil {
		return false, err
	}
	switch {
	case undeleted(r.job):
		return false, p.putBack(ctx, r, deleteAgain)
	case r.job.State.Settled() && r.job.Untold():
		return false, p.records.SetDeadline(ctx, r.job.ID, grace)
	case r.job.State.Ended():
		// Saved once more: one that a caller has ended has no time to live yet.
		return false, p.save(ctx, r, r.job.Clone(), 0)
	case r.job.State.Settled():
		return false, p.leave(ctx, r.job, o.Deadline)
	}
	return false, p.sweepActive(ctx, r)
}

// sweepActive looks for the task that a job waits for.
func (p *Pipeline) sweepActive(ctx context.Context, r *record) error {
	next := r.job.Next()
	if next == nil {
		return fmt.Errorf("this worker knows no state %q: upgrade it", r.job.State)
	}
	info, err := p.inspector.GetTaskInfo(next.Stage().Queue(), tasks.TaskID(next))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		if waits, err := p.stillWaits(ctx, r.job); waits || err != nil {
			return err
		}
		p.observer.Found(LostGone)
		p.log.WarnContext(ctx, "task lost; enqueued again", "job", r.job.ID, "task", tasks.TaskID(next))
		if err := p.records.SetDeadline(ctx, r.job.ID, grace); err != nil {
			return err
		}
		return p.handOn(ctx, r, 0)
	}
	if err != nil {
		return err
	}
	return p.sweepTask(ctx, r, info)
}

// sweepTask looks at the task that a job waits for. One that is still to run only needs time.
func (p *Pipeline) sweepTask(ctx context.Context, r *record, info *asynq.TaskInfo) error {
	p.log.DebugContext(ctx, "job overdue", "job", r.job.ID, "state", r.job.State, "task", info.ID, "task_state", info.State.String())
	switch info.State {
	case asynq.TaskStateCompleted:
		if waits, err := p.stillWaits(ctx, r.job); waits || err != nil {
			return err
		}
		p.observer.Found(LostFinished)
		return p.putBack(ctx, r, nextEpoch)
	case asynq.TaskStateArchived:
		p.observer.Found(LostArchived)
		return p.putBack(ctx, r, p.afterArchived(r.job, info))
	case asynq.TaskStateActive:
		leased, err := p.records.Leased(ctx, info.Queue, info.ID)
		if err != nil {
			return err
		}
		if !leased {
			// Nobody holds it, and nobody has taken it back: with another epoch it can't come to life again.
			p.observer.Found(LostOrphaned)
			p.log.WarnContext(ctx, "task orphaned; enqueued again", "job", r.job.ID, "task", info.ID)
			return p.putBack(ctx, r, nextEpoch)
		}
	}
	return p.records.SetDeadline(ctx, r.job.ID, max(0, time.Until(info.NextProcessAt))+grace)
}

// putBack decides for a job that nothing moves any more, and enqueues what comes next.
func (p *Pipeline) putBack(ctx context.Context, r *record, decide decision) error {
	out, err := p.update(ctx, r, p.within(r.job, decide))
	if err != nil {
		return err
	}
	return p.handOn(ctx, r, out.in)
}

// unlessFinished looks at the task that holds the id of the one that a job needs. A finished one moves
// nothing any more.
func (p *Pipeline) unlessFinished(ctx context.Context, r *record, next tasks.Payload) error {
	info, err := p.inspector.GetTaskInfo(next.Stage().Queue(), tasks.TaskID(next))
	switch {
	case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		return nil // it has just run
	case err != nil:
		return err
	case info.State == asynq.TaskStateCompleted, info.State == asynq.TaskStateArchived:
		return p.sweepTask(ctx, r, info)
	}
	return nil
}

// nextEpoch puts a job back on the road whose task id is taken by a finished task.
func nextEpoch(job *tasks.Job) outcome {
	job.Epoch++
	return outcome{}
}

// afterArchived decides for a job whose task was archived without the job's knowing: its worker died at
// every try, a person archived it, or a stranger's task with another request held its id.
func (p *Pipeline) afterArchived(seen *tasks.Job, info *asynq.TaskInfo) decision {
	payload, err := tasks.Decode(asynq.NewTask(info.Type, info.Payload))
	if create, ok := payload.(*tasks.Create); ok && !create.Matches(seen) {
		return nextEpoch
	}
	if !info.LastFailedAt.IsZero() && info.LastFailedAt.Before(seen.CreatedAt) {
		return nextEpoch // of an earlier life of this id, whose record has expired
	}
	why := verdict{code: codeAttempts, message: lostToArchive(info.LastErr), hint: "see the worker's log for what it died of. " + hintGaveUp(seen)}
	if err == nil && info.Retried < info.MaxRetry { // Asynq by itself archives what can be read only at its last attempt
		why = verdict{code: codeArchived, message: archivedByHand(info.LastErr), hint: "run the task, or enqueue retry " + seen.ID + ", to go on"}
	}
	return func(job *tasks.Job) outcome {
		mark := job.Mark()
		switch {
		case mark != nil:
			return p.parked(mark.Token, why.message)(job)
		case job.State == tasks.Cleaning:
			job.Epoch++
			return outcome{in: longestBackoff}
		}
		fail(job, stageOf(job.State), why)
		return outcome{}
	}
}
