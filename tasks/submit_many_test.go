package tasks

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// newJobs returns n jobs: j0, j1, ...
func newJobs(t *testing.T, n int) []*Job {
	t.Helper()
	var jobs []*Job
	for i := range n {
		job, err := NewJob(textToVideo(fmt.Sprintf("j%d", i)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, job)
	}
	return jobs
}

func TestSubmitMany(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		taken := textToVideo("j3")
		taken.Options.Overwrite = true
		for _, r := range []Request{textToVideo("j1"), taken} {
			if _, err := c.Submit(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		const many = submitters + 20
		found, err := c.CheckMany(ctx, newJobs(t, many))
		if err != nil || found[0].Job != nil || !found[1].Whole || found[1].Err != nil || !errors.Is(found[3].Err, ErrExists) {
			t.Fatalf("check: got %+v, %v", found[:4], err)
		}
		for i, s := range c.SubmitMany(ctx, newJobs(t, many)) {
			if i == 3 && !errors.Is(s.Err, ErrExists) || i != 3 && (s.Err != nil || s.Whole != (i == 1)) {
				t.Errorf("job %d: got %+v", i, s)
			}
		}
		if q, err := c.inspector.GetQueueInfo(StageCreate.Queue()); err != nil || q.Pending != many {
			t.Errorf("got %+v, %v; want a task for each of %d", q, err, many)
		}
		for i, job := range newJobs(t, many) {
			standing, err := c.Job(ctx, job.ID)
			if err != nil || standing.Same(job) != (i != 3) {
				t.Errorf("job %d: got %+v, %v", i, standing, err)
			}
			if at, err := c.records.Deadline(ctx, job.ID); err != nil || at == "" {
				t.Errorf("job %d has no deadline: the sweeper would not find it (%v)", i, err)
			}
		}
		if n, err := c.records.Count(ctx, string(Pending)); err != nil || n != many {
			t.Errorf("%d jobs in the index, %v", n, err)
		}
	})
}

// TestCheckManyMissesATask: a job whose task is not there, or will not run again, is not whole.
func TestCheckManyMissesATask(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		jobs := newJobs(t, 3)
		for _, s := range c.SubmitMany(ctx, jobs) {
			if s.Err != nil {
				t.Fatal(s.Err)
			}
		}
		if err := c.inspector.DeleteTask(StageCreate.Queue(), "j0:create"); err != nil {
			t.Fatal(err)
		}
		if err := c.inspector.ArchiveTask(StageCreate.Queue(), "j1:create"); err != nil {
			t.Fatal(err)
		}
		found, err := c.CheckMany(ctx, jobs)
		if err != nil || found[0].Whole || found[1].Whole || !found[2].Whole {
			t.Fatalf("got %+v, %v", found, err)
		}
		for _, s := range c.SubmitMany(ctx, jobs) {
			if s.Err != nil {
				t.Error(s.Err)
			}
		}
		if got := waitingTasks(t, c); len(got) != 3 {
			t.Errorf("%d tasks that wait, want 3", len(got))
		}
	})
}
