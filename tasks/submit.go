package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// submitDeadline is by when a job that was just submitted must have been taken up. After it,
// the sweeper enqueues the job's task again.
const submitDeadline = 2 * time.Minute

// Submit accepts a job: it checks the request, writes the record, and enqueues the first task.
// A job that was accepted is never lost: if its task is, the sweeper of any worker enqueues it.
//
// Submitting the same id with the same request again changes nothing and returns the job as it
// stands. The errors are ErrInvalid for a request that the API would refuse, ErrExists for an
// id with a different request (with the job that stands), or ErrUnavailable. After that one
// the job may have been accepted or not; it is returned all the same, so that Submit can be repeated with its id, which is safe.
// Without the id a repetition would buy twice.
func (c *Client) Submit(ctx context.Context, r Request) (job *Job, err error) {
	defer markRedis(ctx, &err)
	job, err = NewJob(r, time.Now())
	if err != nil {
		return nil, err
	}
	job.Trace = c.trace(ctx)
	entered, err := c.records.Announce(ctx, string(job.State), submitDeadline, job.ID)
	if err != nil {
		return job, err
	}
	rev, err := c.save(ctx, job, records.Absent)
	if errors.Is(err, records.ErrConflict) {
		return c.resubmit(ctx, job, entered[0])
	}
	if err != nil {
		return job, err
	}
	return job, c.enqueue(ctx, job, rev)
}

// Check says what Submit would say, and accepts nothing: ErrInvalid for a request that the API would
// refuse, ErrExists for an id with a different request. It returns the job that stands under the
// id already, or nil.
func (c *Client) Check(ctx context.Context, r Request) (standing *Job, err error) {
	defer markRedis(ctx, &err)
	job, err := NewJob(r, time.Now())
	if err != nil {
		return nil, err
	}
	standing, _, err = c.load(ctx, job.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil //nolint:nilnil // nobody has the id, and nothing is wrong
	case err != nil:
		return nil, err
	case !standing.Same(job):
		return standing, fmt.Errorf("%w: %s", ErrExists, job.ID)
	}
	return standing, nil
}

// resubmit compares the request with the one whose record stands, and makes sure that a job
// that is still to be created has its task.
func (c *Client) resubmit(ctx context.Context, job *Job, entered records.Moment) (*Job, error) {
	standing, rev, err := c.load(ctx, job.ID)
	if err != nil {
		return job, err
	}
	if standing.State != Pending {
		if err := c.records.Exit(ctx, string(Pending), job.ID, entered); err != nil {
			return job, err
		}
	}
	if !standing.Same(job) {
		return standing, fmt.Errorf("%w: %s", ErrExists, job.ID)
	}
	if standing.State != Pending {
		return standing, nil
	}
	return standing, c.enqueue(ctx, standing, rev)
}

// enqueue enqueues the create task of a pending job. A task that holds the id already is the
// job's own, or a stranger's with another request: then the job moves on to the next epoch,
// under whose id no stranger enqueues.
func (c *Client) enqueue(ctx context.Context, job *Job, rev string) error {
	task, err := NewTask(job.Next())
	if err != nil {
		return err
	}
	_, err = c.queue.EnqueueContext(ctx, task, asynq.Retention(Retention))
	if !errors.Is(err, asynq.ErrTaskIDConflict) {
		return err
	}
	if own, err := c.holdsOwnTask(ctx, job); own || err != nil {
		return err
	}
	job.Epoch++
	rev, err = c.save(ctx, job, rev)
	if errors.Is(err, records.ErrConflict) {
		return nil // somebody else has taken the job up
	}
	if err != nil {
		return err
	}
	return c.enqueue(ctx, job, rev)
}

// holdsOwnTask reports whether the task that holds the id of the job's next task came from the
// same request.
func (c *Client) holdsOwnTask(ctx context.Context, job *Job) (bool, error) {
	next := job.Next()
	info, err := c.inspector.GetTaskInfo(next.Stage().Queue(), TaskID(next))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return true, nil // it has just run
	}
	if err != nil {
		return false, fmt.Errorf("look at task %s: %w", TaskID(next), err)
	}
	if info.State == asynq.TaskStateCompleted {
		// It found the window full, or is of an earlier life of this id, whose record has expired.
		return c.records.Waits(ctx, job.ID)
	}
	if info.State == asynq.TaskStateArchived {
		return false, nil // of an earlier life
	}
	p, err := Decode(asynq.NewTask(info.Type, info.Payload))
	if err != nil {
		return false, nil //nolint:nilerr // what can't be read is not ours
	}
	create, ok := p.(*Create)
	return ok && create.Matches(job), nil
}

// Matches reports whether the payload asks for what the job's record says.
func (p *Create) Matches(job *Job) bool {
	body, err := Canonical(p.Body)
	if err != nil {
		return false
	}
	return job.Same(&Job{Status: Status{Operation: p.Operation}, Body: body, Options: p.JobOptions.plain()})
}
