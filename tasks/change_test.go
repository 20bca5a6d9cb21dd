package tasks

import (
	"errors"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// stand writes the record of a job.
func stand(t *testing.T, c *Client, job *Job) {
	t.Helper()
	if _, err := c.save(t.Context(), job, records.Absent); err != nil {
		t.Fatal(err)
	}
	if _, err := c.records.Enter(t.Context(), string(job.State), job.ID); err != nil {
		t.Fatal(err)
	}
}

// taskIDs are the ids of all tasks that wait in a stage's queue, archived ones included.
func taskIDs(t *testing.T, c *Client, stage Stage) []string {
	t.Helper()
	var ids []string
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		c.inspector.ListPendingTasks, c.inspector.ListScheduledTasks, c.inspector.ListArchivedTasks,
	} {
		infos, err := list(stage.Queue())
		if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			t.Fatal(err)
		}
		for _, info := range infos {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

func TestCancelInRedis(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		if _, err := c.Submit(ctx, textToVideo("j1")); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second is a repetition
			if job, err := c.Cancel(ctx, "j1"); err != nil || job.State != Canceled || job.DoneAt == nil {
				t.Errorf("got %+v, %v", job, err)
			}
		}
		if got := taskIDs(t, c, StageCreate); len(got) != 0 {
			t.Errorf("tasks are left: %v", got)
		}
		if job, err := c.Job(ctx, "j1"); err != nil || job.State != Canceled {
			t.Errorf("got %+v, %v", job, err)
		}
		if at, err := c.records.Deadline(ctx, "j1"); err != nil || at == "" {
			t.Errorf("deadline: got %q, %v; a sweeper must find the job, to give its record an end", at, err)
		}
		if _, err := c.Cancel(ctx, "nobody"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a job that nobody knows: got %v", err)
		}
		if _, err := c.Cancel(ctx, "../etc"); !errors.Is(err, ErrInvalid) {
			t.Errorf("an id that is none: got %v", err)
		}
	})
}

// TestCancelBareTask: the record says canceled before a worker has seen the task.
func TestCancelBareTask(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		task, err := NewCreate(textToVideo("bare"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.queue.Enqueue(task); err != nil {
			t.Fatal(err)
		}
		if job, err := c.Cancel(ctx, "bare"); err != nil || job.State != Canceled {
			t.Fatalf("got %+v, %v", job, err)
		}
		if job, _, err := c.load(ctx, "bare"); err != nil || job.State != Canceled {
			t.Errorf("got %+v, %v; want a record", job, err)
		}
		if got := taskIDs(t, c, StageCreate); len(got) != 0 {
			t.Errorf("tasks are left: %v", got)
		}
	})
}

func TestRetryInRedis(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		job := failedIn(t, StageDownload)
		stand(t, c, job)
		if err := rdb.PExpire(ctx, "hourglass:{j1}:record", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		old, err := NewTask(job.last())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.queue.Enqueue(old); err != nil {
			t.Fatal(err)
		}
		if err := c.inspector.ArchiveTask(StageDownload.Queue(), "j1:download"); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Retry(ctx, "j1", false); err != nil || got.State != Storing || got.Epoch != 2 {
			t.Fatalf("got %+v, %v", got, err)
		}
		if ttl := rdb.TTL(ctx, "hourglass:{j1}:record").Val(); ttl >= 0 {
			t.Errorf("the record of a job on the road ends in %v", ttl)
		}
		if got := taskIDs(t, c, StageDownload); len(got) != 1 || got[0] != "j1:download~2" {
			t.Errorf("tasks: got %v, want that of the new epoch alone", got)
		}
		if _, err := c.Retry(ctx, "j1", false); !errors.Is(err, ErrState) {
			t.Errorf("again: got %v", err)
		}
	})
}

func TestResolveInRedis(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		stand(t, c, standing(t, Unknown))
		if _, err := c.records.Claim(ctx, "taken", "other"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Resolve(ctx, "j1", Resolution{Project: "taken"}); !errors.Is(err, ErrTaken) {
			t.Errorf("a project of another job: got %v", err)
		}
		if job, err := c.Resolve(ctx, "j1", Resolution{Project: "p9"}); err != nil || job.State != Rendering {
			t.Fatalf("got %+v, %v", job, err)
		}
		if got := taskIDs(t, c, StagePoll); len(got) != 1 || got[0] != "j1:poll:1~2" {
			t.Errorf("tasks: got %v, want the first poll", got)
		}
		if owner, err := c.records.Claim(ctx, "p9", "other"); err != nil || owner != "j1" {
			t.Errorf("the project belongs to %q, %v", owner, err)
		}
		if _, err := c.Resolve(ctx, "j1", Resolution{Fail: true}); !errors.Is(err, ErrState) {
			t.Errorf("again: got %v", err)
		}
	})
}

// TestParkRestored: what a backup believes to be unbought is parked; what came later, or has a project, is not.
func TestParkRestored(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		for id, state := range map[string]State{"pending": Pending, "creating": Creating, "rendering": Rendering, "done": Done} {
			job := standing(t, state)
			job.ID = id
			stand(t, c, job)
		}
		bare, err := NewCreate(textToVideo("bare"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.queue.Enqueue(bare); err != nil {
			t.Fatal(err)
		}
		restored := time.Now().Add(time.Second)
		late := standing(t, Pending)
		late.ID, late.StateAt = "late", restored.Add(time.Hour)
		stand(t, c, late)
		parked := map[string]bool{}
		for range 2 { // the second finds nothing
			for job, err := range c.ParkRestored(ctx, restored) {
				if err != nil {
					t.Fatal(err)
				}
				if parked[job.ID] || job.State != Unknown || job.Mark() == nil || job.Error.Hint == "" {
					t.Errorf("parked: %+v", job)
				}
				parked[job.ID] = true
			}
		}
		if len(parked) != 3 || !parked["pending"] || !parked["creating"] || !parked["bare"] {
			t.Errorf("parked: got %v", parked)
		}
		if got := taskIDs(t, c, StageCreate); len(got) != 0 {
			t.Errorf("tasks that would buy are left: %v", got)
		}
		for id, want := range map[string]State{"pending": Unknown, "bare": Unknown, "rendering": Rendering, "done": Done, "late": Pending} {
			if job, err := c.Job(ctx, id); err != nil || job.State != want {
				t.Errorf("%s: got %+v, %v; want %s", id, job, err, want)
			}
		}
	})
}
