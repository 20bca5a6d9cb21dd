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

// Client hands jobs to the workers and tells what became of them. It is safe for concurrent use.
type Client struct {
	records   *records.Store
	queue     *asynq.Client
	inspector *asynq.Inspector
	trace     func(context.Context) Trace // of whoever submits
	patience  time.Duration               // with a Redis that does not answer, of who waits for a job that was not seen yet
}

// NewClient returns a client of the fleet whose Redis rdb speaks to. The caller closes rdb,
// which must be a plain, sentinel or cluster client, or the automatic pipeline of one.
func NewClient(rdb redis.UniversalClient, options ...ClientOption) *Client {
	c := &Client{
		records:   records.New(rdb),
		queue:     asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
		trace:     func(context.Context) Trace { return Trace{} },
		patience:  time.Minute,
	}
	for _, set := range options {
		set(c)
	}
	return c
}

// Job returns the record of a job. The error is ErrNotFound if there is none, or not any more, ErrInvalid for an id
// that no job can have, or ErrUnavailable.
func (c *Client) Job(ctx context.Context, id string) (job *Job, err error) {
	defer markRedis(ctx, &err)
	if err := CheckID(id); err != nil {
		return nil, invalid("id", err)
	}
	job, _, err = c.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return c.unseen(ctx, id)
	}
	return job, err
}

// unseen tells what is known of a job that was enqueued as a bare task and that no worker has
// seen yet, or that was refused at first sight.
func (c *Client) unseen(ctx context.Context, id string) (*Job, error) {
	info, first, err := c.bareTask(ctx, id)
	if errors.Is(err, ErrNotFound) {
		// Between the two looks a worker may have written the record and ended the task.
		job, _, err := c.load(ctx, id)
		return job, err
	}
	if err != nil {
		return nil, err
	}
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

// bareTask finds the task of a job without a record, and what can be read of its payload.
func (c *Client) bareTask(ctx context.Context, id string) (*asynq.TaskInfo, *Create, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	first := &Create{Header: Header{JobID: id, Epoch: 1}}
	info, err := c.inspector.GetTaskInfo(StageCreate.Queue(), TaskID(first))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return nil, nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("look at task %s: %w", TaskID(first), err)
	}
	_ = json.Unmarshal(info.Payload, first) // what can't be read stays empty
	first.Trace = traceOf(info.Headers)
	return info, first, nil
}

// Wait returns the job once there is nothing more to wait for: it is done, failed, canceled or
// parked as unknown. It asks every second, more often at first. Once it has seen the job, it passes over a Redis
// that does not answer for as long as ctx lasts; before, for up to a minute. The job goes on whether or not somebody waits.
func (c *Client) Wait(ctx context.Context, id string) (*Job, error) {
	return c.Watch(ctx, id, func(*Job) {})
}

// Watch is Wait, and shows the job each time that it was looked at.
func (c *Client) Watch(ctx context.Context, id string, show func(*Job)) (*Job, error) {
	const least, most = 50 * time.Millisecond, time.Second
	var troubleSince time.Time
	var last *Job
	for pause := least; ; pause = min(2*pause, most) {
		job, err := c.Job(ctx, id)
		switch {
		case err == nil && job.State.Settled():
			return job, nil
		case err == nil:
			troubleSince, last = time.Time{}, job
			show(job)
		case ctx.Err() != nil:
			return last, ctx.Err()
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid):
			return nil, err
		case troubleSince.IsZero():
			troubleSince = time.Now()
		case last != nil && errors.Is(err, ErrUnavailable): // it was there, and will be
		case time.Since(troubleSince) > c.patience:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
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
