package tasks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// A Submission is what becomes of one job among many.
type Submission struct {
	// Job is the job as it stood before; nil if nobody had its id.
	Job *Job

	// Whole says that nothing is left to do for the job that stood.
	Whole bool

	// Err is what Submit would return.
	Err error
}

// CheckMany says what SubmitMany would, in two round trips, and writes nothing. jobs are as NewJob makes them.
func (c *Client) CheckMany(ctx context.Context, jobs []*Job) (found []Submission, err error) {
	defer markRedis(ctx, &err)
	ids := make([]string, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	texts, err := c.records.LoadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	found = make([]Submission, len(jobs))
	var waiting []int // to be created: is the task that does it there?
	for i, text := range texts {
		if text == nil {
			continue
		}
		standing, err := DecodeJob(text)
		if err != nil {
			return nil, err
		}
		switch {
		case !standing.Same(jobs[i]):
			found[i].Err = fmt.Errorf("%w: %s", ErrExists, jobs[i].ID)
		case standing.State == Pending:
			waiting = append(waiting, i)
		}
		found[i].Job, found[i].Whole = standing, standing.State != Pending
	}
	return found, c.checkTasks(ctx, found, waiting)
}

// checkTasks finds out which of the jobs that are to be created have a task for it.
func (c *Client) checkTasks(ctx context.Context, found []Submission, waiting []int) error {
	if len(waiting) == 0 {
		return nil
	}
	ids := make([]string, len(waiting))
	for n, i := range waiting {
		ids[n] = TaskID(found[i].Job.Next())
	}
	states, err := c.records.TaskStates(ctx, StageCreate.Queue(), ids)
	if err != nil {
		return err
	}
	for n, i := range waiting {
		switch states[n] {
		case asynq.TaskStatePending.String(), asynq.TaskStateActive.String(), asynq.TaskStateScheduled.String(), asynq.TaskStateRetry.String():
			found[i].Whole = true
		}
	}
	return nil
}

// submitters is how many jobs of a SubmitMany are enqueued at a time: enough to fill a round trip.
const submitters = 128

// SubmitMany is Submit for many jobs at once, in few round trips if the Client's Redis is an automatic pipeline. They
// are as NewJob makes them, and none has the id of another. One without a Trace gets that of ctx.
//
// What is true of one job after Submit is true of each: its deadline and its place in the index stand before its
// record, and that before its task.
func (c *Client) SubmitMany(ctx context.Context, jobs []*Job) []Submission {
	made := make([]Submission, len(jobs))
	if len(jobs) == 0 {
		return made
	}
	defer func() {
		for i := range made {
			markRedis(ctx, &made[i].Err)
		}
	}()
	ids, creations := make([]string, len(jobs)), make([]*records.Creation, len(jobs))
	trace := c.trace(ctx)
	for i, job := range jobs {
		if job.Trace.Parent == "" {
			job.Trace = trace
		}
		data, err := job.Encode()
		if err != nil {
			return failed(made, err)
		}
		ids[i], creations[i] = job.ID, &records.Creation{Job: job.ID, Data: data}
	}
	entered, err := c.records.Announce(ctx, string(Pending), submitDeadline, ids...)
	if err != nil {
		return failed(made, err)
	}
	c.records.Create(ctx, creations)
	var all sync.WaitGroup
	var next atomic.Int64
	for range min(submitters, len(jobs)) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				made[i] = c.submitCreated(ctx, jobs[i], creations[i], entered[i])
			}
		})
	}
	all.Wait()
	return made
}

// submitCreated goes on with a job whose record was written, if that could be done.
func (c *Client) submitCreated(ctx context.Context, job *Job, made *records.Creation, entered records.Moment) (s Submission) {
	switch {
	case made.Err == nil:
		s.Err = c.enqueue(ctx, job, made.Rev)
	case errors.Is(made.Err, records.ErrConflict):
		s.Job, s.Err = c.resubmit(ctx, job, entered)
		s.Whole = s.Err == nil
	default:
		s.Err = made.Err
	}
	return s
}

// failed says of all jobs that they may have been accepted or not.
func failed(made []Submission, err error) []Submission {
	for i := range made {
		made[i].Err = err
	}
	return made
}
