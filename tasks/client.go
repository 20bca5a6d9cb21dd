package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/records"
)

// Retention is how long finished tasks stay visible in Asynqmon unless told otherwise.
const Retention = 24 * time.Hour

// submitDeadline is by when a job that was just submitted must have been taken up. After it,
// the sweeper enqueues the job's task again.
const submitDeadline = 2 * time.Minute

// Client hands jobs to the workers and tells what became of them. It is safe for concurrent use.
type Client struct {
	records   *records.Store
	queue     *asynq.Client
	inspector *asynq.Inspector
}

// NewClient returns a client of the fleet whose Redis rdb speaks to. The caller closes rdb,
// which must be a plain, sentinel or cluster client.
func NewClient(rdb redis.UniversalClient) *Client {
	return &Client{
		records:   records.New(rdb),
		queue:     asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
}

// Submit accepts a job: it checks the request, writes the record, and enqueues the first task.
// A job that was accepted is never lost: if its task is, the sweeper of any worker enqueues it.
//
// Submitting the same id with the same request again changes nothing and returns the job as it
// stands. The errors are ErrInvalid for a request that the API would refuse, ErrExists for an
// id with a different request, or an error of Redis. After that the job may have been accepted or
// not; it is returned all the same, so that Submit can be repeated with its id, which is safe.
// Without the id a repetition would buy twice.
func (c *Client) Submit(ctx context.Context, r Request) (*Job, error) {
	job, err := NewJob(r, time.Now())
	if err != nil {
		return nil, err
	}
	// The deadline first: from the moment the record exists, the sweeper must find it.
	if err := c.records.EnsureDeadline(ctx, job.ID, submitDeadline); err != nil {
		return job, err
	}
	entered, err := c.records.Enter(ctx, string(job.State), job.ID)
	if err != nil {
		return job, err
	}
	rev, err := c.save(ctx, job, records.Absent)
	if errors.Is(err, records.ErrConflict) {
		return c.resubmit(ctx, job, entered)
	}
	if err != nil {
		return job, err
	}
	return job, c.enqueue(ctx, job, rev)
}

// Check says what Submit would say, and accepts nothing: ErrInvalid for a request that the API would
// refuse, ErrExists for an id with a different request. It returns the job that stands under the
// id already, or nil.
func (c *Client) Check(ctx context.Context, r Request) (*Job, error) {
	job, err := NewJob(r, time.Now())
	if err != nil {
		return nil, err
	}
	standing, _, err := c.load(ctx, job.ID)
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
	if own, err := c.holdsOwnTask(job); own || err != nil {
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
func (c *Client) holdsOwnTask(job *Job) (bool, error) {
	next := job.Next()
	info, err := c.inspector.GetTaskInfo(next.Stage().Queue(), TaskID(next))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return true, nil // it has just run
	}
	if err != nil {
		return false, fmt.Errorf("look at task %s: %w", TaskID(next), err)
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
	return job.Same(&Job{Status: Status{Operation: p.Operation}, Body: body, Options: p.JobOptions})
}

// Job returns the record of a job. The error is ErrNotFound if there is none, or not any more.
func (c *Client) Job(ctx context.Context, id string) (*Job, error) {
	if err := CheckID(id); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	job, _, err := c.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return c.unseen(id, err)
	}
	return job, err
}

// unseen tells what is known of a job that was enqueued as a bare task and that no worker has
// seen yet, or that was refused at first sight.
func (c *Client) unseen(id string, notFound error) (*Job, error) {
	first := &Create{Header: Header{JobID: id, Epoch: 1}}
	info, err := c.inspector.GetTaskInfo(StageCreate.Queue(), TaskID(first))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return nil, notFound
	}
	if err != nil {
		return nil, fmt.Errorf("look at task %s: %w", TaskID(first), err)
	}
	_ = json.Unmarshal(info.Payload, first) // what can't be read stays empty
	job := &Job{Status: Status{
		V: Version, ID: id, Operation: first.Operation, State: Pending,
		Outputs: []Output{}, Warnings: []string{}, CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt,
	}, Epoch: 1}
	if op, known := operations.Lookup(first.Operation); known {
		job.Kind = string(op.Kind)
	}
	if info.State == asynq.TaskStateArchived {
		job.State = Failed
		job.Error = &Error{Stage: string(StageCreate), Code: "bad_task", Message: info.LastErr, Hint: "mend the task and enqueue it under a new id; nothing was charged"}
	}
	return job, nil
}

// Wait returns the job once there is nothing more to wait for: it is done, failed, canceled or
// parked as unknown. It asks every second, more often at first, and passes over up to a minute
// of a Redis that does not answer; the job goes on whether or not somebody waits.
func (c *Client) Wait(ctx context.Context, id string) (*Job, error) {
	const least, most, patience = 50 * time.Millisecond, time.Second, time.Minute
	var troubleSince time.Time
	for pause := least; ; pause = min(2*pause, most) {
		job, err := c.Job(ctx, id)
		switch {
		case err == nil && job.State.Settled():
			return job, nil
		case err == nil:
			troubleSince = time.Time{}
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid), ctx.Err() != nil:
			return nil, err
		case troubleSince.IsZero():
			troubleSince = time.Now()
		case time.Since(troubleSince) > patience:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return job, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (c *Client) load(ctx context.Context, id string) (*Job, string, error) {
	data, rev, err := c.records.Load(ctx, id)
	if errors.Is(err, records.ErrNotFound) {
		return nil, "", fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, "", err
	}
	job, err := DecodeJob(data)
	return job, rev, err
}

func (c *Client) save(ctx context.Context, job *Job, rev string) (string, error) {
	data, err := job.Encode()
	if err != nil {
		return "", err
	}
	return c.records.Save(ctx, job.ID, data, rev, 0)
}
