package tasks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// ParkRestored parks every job that Redis, restored from a backup, believes to be still unbought, and
// that may have been bought since: those without a project whose last change of state, or bare task, is
// from before the given time. That includes jobs that are unknown in the backup: a person may have decided since. It returns each with the error that parking it brought.
//
// To be called before any worker is started. Safe to repeat: what is parked stays so.
func (c *Client) ParkRestored(ctx context.Context, before time.Time) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		// As a list: parking takes jobs out of the states that are walked.
		var ids []string
		for job, err := range c.List(ctx, Filter{States: []State{Pending, Creating, Unknown}}) {
			switch {
			case err != nil:
				if !yield(nil, err) {
					return
				}
			case job.StateAt.Before(before) && !restored(job):
				ids = append(ids, job.ID)
			}
		}
		for _, id := range ids {
			job, err := c.change(ctx, id, parkRestored)
			if errors.Is(err, ErrState) {
				continue // somebody else has moved it on
			}
			if !yield(job, err) {
				return
			}
		}
		c.parkBare(ctx, before, yield)
	}
}

// restored reports whether a job was parked for this reason before.
func restored(j *Job) bool {
	mark := j.Mark()
	return j.State == Unknown && mark != nil && mark.Token == ""
}

// parkRestored adds the purchase that the record does not know of, in any state that may have led to one:
// a mark that stands in the backup may have been given back since, and the job bought under another.
func parkRestored(j *Job) error {
	if j.State != Pending && j.State != Creating && j.State != Unknown {
		return refuse("job %s is %s", j.ID, j.State)
	}
	j.Attempts = append(j.Attempts, Attempt{At: j.UpdatedAt})
	j.Epoch++ // what stands in the queue is of the backup, too
	j.Park(UnknownOutcome, "Redis was restored from a backup: the project may have been made and charged since")
	return nil
}

// parkBare parks the jobs that only a task in the create queue tells of.
func (c *Client) parkBare(ctx context.Context, before time.Time, yield func(*Job, error) bool) {
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		c.inspector.ListPendingTasks, c.inspector.ListScheduledTasks, c.inspector.ListRetryTasks, c.inspector.ListActiveTasks,
	} {
		// Whole, and before the first is parked: parking takes tasks out of the lists.
		var found []*asynq.TaskInfo
		for page := 1; ; page++ {
			infos, err := list(StageCreate.Queue(), asynq.PageSize(listPage), asynq.Page(page))
			if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
				yield(nil, fmt.Errorf("list the tasks of %s: %w", StageCreate.Queue(), err))
				return
			}
			found = append(found, infos...)
			if len(infos) < listPage {
				break
			}
		}
		for _, info := range found {
			job, err := c.parkTask(ctx, info, before)
			if (job != nil || err != nil) && !yield(job, err) {
				return
			}
		}
	}
}

// parkTask parks the job of a bare task; nil if that has a record, or is too young.
func (c *Client) parkTask(ctx context.Context, info *asynq.TaskInfo, before time.Time) (*Job, error) {
	payload, err := Decode(asynq.NewTaskWithHeaders(info.Type, info.Payload, info.Headers))
	create, ok := payload.(*Create)
	if err != nil || !ok || !create.CreatedAt.Before(before) {
		return nil, nil //nolint:nilerr,nilnil // a worker archives what can't be read, and buys nothing
	}
	if _, _, err := c.load(ctx, create.JobID); !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	job, err := create.Job()
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // refused at first sight, too
	}
	unparked := job.Clone()
	if err := parkRestored(job); err != nil {
		return nil, err
	}
	if err := c.saveChange(ctx, unparked, job, records.Absent); err != nil {
		return job, err
	}
	c.followUp(ctx, unparked, job)
	return job, nil
}
