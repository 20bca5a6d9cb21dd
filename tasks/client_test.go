package tasks

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// onEach runs a test on miniredis, for speed, and on a real Redis and a real cluster, for the truth.
func onEach(t *testing.T, test func(t *testing.T, rdb redis.UniversalClient)) {
	one := func(addr string) redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: addr}) }
	for name, start := range map[string]func(testing.TB) redis.UniversalClient{
		"miniredis": func(t testing.TB) redis.UniversalClient { return one(miniredis.RunT(t).Addr()) },
		"redis":     func(t testing.TB) redis.UniversalClient { return one(testservers.Redis(t)) },
		"cluster": func(t testing.TB) redis.UniversalClient {
			return redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{testservers.ClusterOfOne(t)}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := start(t)
			t.Cleanup(func() { _ = rdb.Close() })
			test(t, rdb)
		})
	}
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		job, err := c.Submit(ctx, textToVideo("j1"))
		if err != nil || job.State != Pending {
			t.Fatalf("submit: got %+v, %v", job, err)
		}
		again, err := c.Submit(ctx, Request{ID: "j1", Operation: "text-to-video", Body: []byte(`{"style":{"prompt":"a tin robot"}, "end_seconds":5.0}`)})
		if err != nil || again.CreatedAt != job.CreatedAt {
			t.Errorf("the same request again: got %+v, %v; want the job as it stands", again, err)
		}
		other := textToVideo("j1")
		other.Options.Overwrite = true
		if standing, err := c.Submit(ctx, other); !errors.Is(err, ErrExists) || standing.Options.Overwrite {
			t.Errorf("another request under the same id: got %v, want ErrExists", err)
		}
		if got := waitingTasks(t, c); len(got) != 1 || got[0].ID != "j1:create" {
			t.Errorf("tasks: got %v, want j1:create alone", got)
		}
		if _, err := c.Job(ctx, "j2"); !errors.Is(err, ErrNotFound) {
			t.Errorf("job that does not exist: got %v, want ErrNotFound", err)
		}
	})
}

func waitingTasks(t *testing.T, c *Client) []*asynq.TaskInfo {
	t.Helper()
	infos, err := c.inspector.ListPendingTasks(StageCreate.Queue())
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

func TestSubmitAgainAfterDyingBeforeEnqueue(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		job, err := NewJob(textToVideo("j1"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.save(ctx, job, records.Absent); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(ctx, textToVideo("j1")); err != nil {
			t.Fatal(err)
		}
		if got := waitingTasks(t, c); len(got) != 1 {
			t.Errorf("tasks: got %v, want the one that was missing", got)
		}
	})
}

func TestSubmitBesideAForeignTask(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		foreign := textToVideo("j1")
		foreign.Body = []byte(`{"end_seconds":9,"style":{"prompt":"somebody else's"}}`)
		task, err := NewCreate(foreign)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.queue.EnqueueContext(ctx, task); err != nil {
			t.Fatal(err)
		}
		job, err := c.Submit(ctx, textToVideo("j1"))
		if err != nil {
			t.Fatal(err)
		}
		if job.Epoch != 2 {
			t.Errorf("epoch: got %d, want 2", job.Epoch)
		}
		if _, err := c.inspector.GetTaskInfo(StageCreate.Queue(), "j1:create~2"); err != nil {
			t.Errorf("the job's own task: %v", err)
		}
	})
}

// TestSubmitBesideATaskThatHasEnded: a task of an earlier life of the id, whose record has expired, moves
// nothing any more.
func TestSubmitBesideATaskThatHasEnded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		queue := "asynq:{" + StageCreate.Queue() + "}:"
		for id, end := range map[string]func() error{
			"archived": func() error { return c.inspector.ArchiveTask(StageCreate.Queue(), "archived:create") },
			"completed": func() error { // as a server does it
				_, err := rdb.TxPipelined(ctx, func(tx redis.Pipeliner) error {
					tx.LRem(ctx, queue+"pending", 0, "completed:create")
					tx.ZAdd(ctx, queue+"completed", redis.Z{Score: float64(time.Now().Add(time.Hour).Unix()), Member: "completed:create"})
					tx.HSet(ctx, queue+"t:completed:create", "state", "completed")
					return nil
				})
				return err
			},
		} {
			task, err := NewCreate(textToVideo(id))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.queue.EnqueueContext(ctx, task, asynq.Retention(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			if job, err := c.Submit(ctx, textToVideo(id)); err != nil || job.Epoch != 2 {
				t.Errorf("%s: got %+v, %v; want it in the next epoch", id, job, err)
			}
			if info, err := c.inspector.GetTaskInfo(StageCreate.Queue(), id+":create~2"); err != nil || info.State != asynq.TaskStatePending {
				t.Errorf("%s: its own task: %+v, %v", id, info, err)
			}
		}
	})
}

func TestJobOfABareTask(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		task, err := NewCreate(textToVideo("j1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.queue.EnqueueContext(ctx, task); err != nil {
			t.Fatal(err)
		}
		if _, err := c.queue.EnqueueContext(ctx, task); !errors.Is(err, asynq.ErrTaskIDConflict) {
			t.Errorf("enqueued twice: got %v, want ErrTaskIDConflict", err)
		}
		job, err := c.Job(ctx, "j1")
		if err != nil || job.State != Pending || job.Kind != "video" {
			t.Errorf("not seen by a worker yet: got %+v, %v; want pending", job, err)
		}
		if err := c.inspector.ArchiveTask(StageCreate.Queue(), "j1:create"); err != nil {
			t.Fatal(err)
		}
		job, err = c.Job(ctx, "j1")
		if err != nil || job.State != Failed || job.Error == nil {
			t.Errorf("archived at first sight: got %+v, %v; want failed", job, err)
		}
	})
}

// between does something after the first look at a record.
type between struct {
	once sync.Once
	do   func()
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if cmd.Name() == "hmget" {
			b.once.Do(b.do)
		}
		return err
	}
}

// TestJobSeenJustNow: a worker that takes up a bare task and ends it between the look at the record
// and the look at the task does not make the job vanish.
func TestJobSeenJustNow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := NewClient(rdb)
		job, err := NewJob(textToVideo("j1"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		rdb.AddHook(&between{do: func() {
			if _, err := c.save(t.Context(), job, records.Absent); err != nil {
				t.Error(err)
			}
		}})
		if got, err := c.Job(t.Context(), "j1"); err != nil || got.ID != "j1" {
			t.Errorf("got %+v, %v; want the job", got, err)
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := NewClient(rdb)
		job, err := c.Submit(t.Context(), textToVideo("j1"))
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if job, err := c.Wait(short, "j1"); !errors.Is(err, context.DeadlineExceeded) || job == nil {
			t.Errorf("a job that does not move: got %v, %v; want it with DeadlineExceeded", job, err)
		}
		if _, err := c.Wait(t.Context(), "j2"); !errors.Is(err, ErrNotFound) {
			t.Errorf("job that does not exist: got %v, want ErrNotFound", err)
		}
		_, rev, err := c.load(t.Context(), "j1")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan State)
		go func() {
			job, err := c.Wait(t.Context(), "j1")
			if err != nil {
				t.Error(err)
				close(done)
				return
			}
			done <- job.State
		}()
		job.State = Unknown
		if _, err := c.save(t.Context(), job, rev); err != nil {
			t.Fatal(err)
		}
		if got := <-done; got != Unknown {
			t.Errorf("got %s, want unknown", got)
		}
	})
}
