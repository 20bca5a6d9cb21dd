package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// A Prepared job was checked and written out: to hand it in costs no more than to send it, now or later.
type Prepared struct {
	ID      string
	Record  []byte // as Job.Encode writes it
	Payload []byte // of the task that creates the project

	trace Trace
}

// Prepare writes out a job as NewJob makes it.
func Prepare(job *Job) (p Prepared, err error) {
	p.ID, p.trace = job.ID, job.Trace
	if p.Record, err = job.Encode(); err == nil {
		p.Payload, err = encode(job.Next())
	}
	return p, err
}

// Job reads the job again.
func (p Prepared) Job() (*Job, error) { return DecodeJob(p.Record) }

// under returns the job as one of a trace, unless it has one of its own.
func (p Prepared) under(t Trace) (Prepared, error) {
	if t.Parent == "" || p.trace.Parent != "" {
		return p, nil
	}
	job, err := p.Job()
	if err != nil {
		return p, err
	}
	job.Trace = t
	return Prepare(job)
}

// A Submission is what becomes of one job among many.
type Submission struct {
	// Job is the job as it stood before; nil if nobody had its id.
	Job *Job

	// Whole says that nothing is left to do for the job that stood.
	Whole bool

	// Err is what Submit would return.
	Err error
}

// CheckMany says what SubmitMany would, in two round trips, and writes nothing.
func (c *Client) CheckMany(ctx context.Context, jobs []Prepared) ([]Submission, error) {
	ids := make([]string, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	texts, err := c.records.LoadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := make([]Submission, len(jobs))
	var waiting []int // to be created: is the task that does it there?
	for i, text := range texts {
		if text == nil {
			continue
		}
		standing, err := DecodeJob(text)
		if err != nil {
			return nil, err
		}
		asked, err := jobs[i].Job()
		switch {
		case err != nil:
			return nil, err
		case !standing.Same(asked):
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

// SubmitMany is Submit for many jobs at once, in few round trips if the Client's Redis is an automatic pipeline. None
// has the id of another.
//
// What is true of one job after Submit is true of each: its deadline and its place in the index stand before its
// record, and that before its task.
func (c *Client) SubmitMany(ctx context.Context, jobs []Prepared) []Submission {
	made := make([]Submission, len(jobs))
	ids, creations := make([]string, len(jobs)), make([]*records.Creation, len(jobs))
	jobs, trace := slices.Clone(jobs), c.trace(ctx)
	for i := range jobs {
		var err error
		if jobs[i], err = jobs[i].under(trace); err != nil {
			return failed(made, err)
		}
		ids[i], creations[i] = jobs[i].ID, &records.Creation{Job: jobs[i].ID, Data: jobs[i].Record}
	}
	entered, err := c.records.Announce(ctx, string(Pending), submitDeadline, ids...)
	if err != nil {
		return failed(made, err)
	}
	c.records.Create(ctx, creations)
	var all sync.WaitGroup
	for i := range jobs {
		all.Go(func() { made[i] = c.submitCreated(ctx, jobs[i], creations[i], entered[i]) })
	}
	all.Wait()
	return made
}

// submitCreated goes on with a job whose record was written, if that could be done.
func (c *Client) submitCreated(ctx context.Context, p Prepared, made *records.Creation, entered records.Moment) (s Submission) {
	if made.Err != nil && !errors.Is(made.Err, records.ErrConflict) {
		return Submission{Err: made.Err}
	}
	if made.Err == nil {
		first := &Create{Header: Header{JobID: p.ID, Epoch: 1}}
		task := asynq.NewTaskWithHeaders(first.Stage().Type(), p.Payload, p.trace.headers(), first.Options()...)
		_, err := c.queue.EnqueueContext(ctx, task, asynq.Retention(Retention))
		if !errors.Is(err, asynq.ErrTaskIDConflict) {
			return Submission{Err: err}
		}
	}
	job, err := p.Job()
	switch {
	case err != nil:
		return Submission{Err: err}
	case made.Err == nil: // a task holds the id, of this request or of another
		return Submission{Err: c.enqueue(ctx, job, made.Rev)}
	}
	s.Job, s.Err = c.resubmit(ctx, job, entered)
	s.Whole = s.Err == nil
	return s
}

// failed says of all jobs that they may have been accepted or not.
func failed(made []Submission, err error) []Submission {
	for i := range made {
		made[i].Err = err
	}
	return made
}
