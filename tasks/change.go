package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// ErrTaken says that a project belongs to another job. Nothing was changed.
var ErrTaken = errors.New("the project belongs to another job")

// Cancel ends a job, at no cost before its create. After it, Hourglass only stops following: the API
// has no way to cancel, so the project goes on, is charged, and is left at Magic Hour; Job.Warnings names
// it. Files that were copied already stay.
//
// A job whose files are all stored, or that has ended, is ErrState; one that nobody knows is ErrNotFound. Safe
// to repeat.
func (c *Client) Cancel(ctx context.Context, id string) (job *Job, err error) {
	defer markRedis(ctx, &err)
	job, err = c.change(ctx, id, (*Job).Cancel)
	if errors.Is(err, ErrNotFound) {
		return c.cancelUnseen(ctx, id)
	}
	return job, err
}

// Retry puts a failed job back on the road at the stage that failed, with the project that it has
// paid for. With recreate it buys a new one instead; the earlier project stays in the record.
//
// A job that has not failed is ErrState, and so is one whose render failed, unless recreate is set: such a
// render was refunded and stays as it is. One that failed while nobody knew whether it was charged becomes
// Unknown. A repetition finds the job on the road, which is ErrState.
func (c *Client) Retry(ctx context.Context, id string, recreate bool) (job *Job, err error) {
	defer markRedis(ctx, &err)
	job, err = c.change(ctx, id, func(j *Job) error { return j.Retry(recreate, time.Now().UTC()) })
	if errors.Is(err, ErrNotFound) {
		if info, _, bareErr := c.bareTask(ctx, id); bareErr == nil {
			return nil, refuse("job %s has no record: no worker has seen it yet, or its task was refused at first sight (%s); then enqueue it anew, under another id", id, info.LastErr)
		}
	}
	return job, err
}

// Resolve tells what became of a purchase that nobody knew the outcome of. A job that is not Unknown
// is ErrState; a project of another job is ErrTaken. Whether the project is what the job asked for is the
// caller's to check. A repetition finds the job resolved, which is ErrState.
func (c *Client) Resolve(ctx context.Context, id string, r Resolution) (job *Job, err error) {
	defer markRedis(ctx, &err)
	decide := func(j *Job) error { return j.Resolve(r, time.Now().UTC()) }
	if r.Project == "" {
		return c.change(ctx, id, decide)
	}
	job, err = c.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := decide(job); err != nil {
		return nil, err // before anything is claimed
	}
	before, err := c.records.Owner(ctx, r.Project)
	if err != nil {
		return nil, err
	}
	owner, err := c.records.Claim(ctx, r.Project, id)
	if err != nil {
		return nil, err
	}
	if owner != id {
		return nil, fmt.Errorf("%w: %s belongs to job %s", ErrTaken, r.Project, owner)
	}
	job, err = c.change(ctx, id, decide)
	if errors.Is(err, ErrState) && before == "" {
		err = errors.Join(err, c.records.Unclaim(ctx, r.Project, id)) // somebody else has decided meanwhile
	}
	return job, err
}

// change applies a decision of a person to the record as it stands, and again if somebody else has
// changed it meanwhile.
func (c *Client) change(ctx context.Context, id string, decide func(*Job) error) (*Job, error) {
	if err := CheckID(id); err != nil {
		return nil, invalid("id", err)
	}
	for {
		before, rev, err := c.load(ctx, id)
		if err != nil {
			return nil, err
		}
		job := before.Clone()
		if err := decide(job); err != nil {
			return before, err
		}
		if job.State == before.State && job.Epoch == before.Epoch {
			return job, nil
		}
		err = c.saveChange(ctx, before, job, rev)
		if errors.Is(err, records.ErrConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.followUp(ctx, before, job)
		return job, nil
	}
}

// saveChange saves in the order that every change of a job keeps: its deadline, the index, the record, the
// index. The deadline of a job that ends is left to a worker's sweeper, which gives the record its time
// to live.
func (c *Client) saveChange(ctx context.Context, before, job *Job, rev string) error {
	job.UpdatedAt = time.Now().UTC()
	job.StateAt = job.UpdatedAt
	job.ETA = nil // a worker's to tell
	if job.State.Ended() {
		job.DoneAt = &job.StateAt
	}
	notices := job.Announce(before)
	due := submitDeadline
	if job.State.Settled() {
		due = 10 * time.Second // not yet: a sweeper that sees the record before would clear it
	}
	if err := c.records.SetDeadline(ctx, job.ID, due); err != nil {
		return err
	}
	if job.ProjectID != "" && !job.State.Ended() {
		if err := c.records.KeepClaim(ctx, job.ProjectID); err != nil {
			return err
		}
	}
	entered, err := c.records.Enter(ctx, string(job.State), job.ID)
	if err != nil {
		return err
	}
	if _, err := c.save(ctx, job, rev); err != nil {
		return err
	}
	for _, n := range notices {
		c.publish(ctx, n)
	}
	if before.State != job.State {
		_ = c.records.Exit(ctx, string(before.State), job.ID, entered) // whoever lists it clears what is left
	}
	return nil
}

// followUp enqueues the job's next task, and takes away the one before, which would find nothing to do.
// The record is saved, so whatever fails here is made good by a worker's sweeper.
func (c *Client) followUp(ctx context.Context, before, job *Job) {
	if next := job.Next(); next != nil {
		if task, err := NewTask(next); err == nil {
			_, _ = c.queue.EnqueueContext(ctx, task, asynq.Retention(Retention))
		}
	}
	for _, notification := range job.Notifications() {
		if task, err := NewTask(notification); err == nil {
			_, _ = c.queue.EnqueueContext(ctx, task)
		}
	}
	if last := before.last(); last != nil {
		_ = c.inspector.DeleteTask(last.Stage().Queue(), TaskID(last)) // not one that runs just now
	}
}

// publish adds a notice to the stream of the fleet, which may miss one.
func (c *Client) publish(ctx context.Context, n Notice) {
	if entry, err := n.Entry(); err == nil {
		_ = c.records.Publish(ctx, records.Events, records.EventsKept, entry)
	}
}

// last is the task that a job waits for, or, of a failed job, the one that was archived with it.
func (j *Job) last() Payload {
	if j.State != Failed {
		return j.Next()
	}
	c := *j
	switch Stage(j.Error.Stage) {
	case StageCreate:
		c.State = Pending
	case StagePoll:
		c.State = Rendering
	case StageDownload:
		c.State = Storing
	}
	return c.Next()
}

// cancelUnseen cancels a job that was enqueued as a bare task and that no worker has seen yet: with the
// record that it writes, a worker finds it canceled.
func (c *Client) cancelUnseen(ctx context.Context, id string) (*Job, error) {
	info, create, err := c.bareTask(ctx, id)
	if err != nil {
		return nil, err
	}
	if info.State == asynq.TaskStateArchived || info.State == asynq.TaskStateCompleted {
		return nil, refuse("job %s has no record, and its task has ended: %s", id, info.LastErr)
	}
	job, err := create.Job()
	if err != nil {
		return nil, err
	}
	before := job.Clone()
	if err := job.Cancel(); err != nil {
		return nil, err
	}
	err = c.saveChange(ctx, before, job, records.Absent)
	if errors.Is(err, records.ErrConflict) {
		return c.change(ctx, id, (*Job).Cancel) // a worker has seen it just now
	}
	if err != nil {
		return nil, err
	}
	c.followUp(ctx, before, job)
	return job, nil
}
