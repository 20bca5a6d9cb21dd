package pipeline

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestSweeperFindsLostTasks deletes the task of a job in every state that has one.
func TestSweeperFindsLostTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.submit(images())
	if err := w.step(w.waiting()[0]); err != nil { // first sight: from here on there is a record
		t.Fatal(err)
	}
	lost := 0
	for range 50 {
		infos := w.waiting()
		if len(infos) == 0 {
			break
		}
		if err := w.inspector.DeleteTask(infos[0].Queue, infos[0].ID); err != nil {
			t.Fatal(err)
		}
		lost++
		if !w.sweep() {
			t.Fatalf("%s was lost for ever", infos[0].ID)
		}
		if err := w.step(w.waiting()[0]); err != nil {
			t.Fatal(err)
		}
	}
	w.checkDone("images")
	if lost < 3 {
		t.Errorf("only %d tasks were lost", lost)
	}
}

// TestSweeperFindsJobsWithoutATask: Submit may die between the record and the task.
func TestSweeperFindsJobsWithoutATask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	job, err := tasks.NewJob(images(), w.clock())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.pipeline.save(t.Context(), &record{job: job}, job.Clone(), 0); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.checkDone("images")
}

// TestSubmitSurvivesALostTask: what Submit has accepted is never lost.
func TestSubmitSurvivesALostTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.forward(time.Until(w.clock()) + time.Second) // Submit goes by the real clock
	if _, err := w.client.Submit(t.Context(), images()); err != nil {
		t.Fatal(err)
	}
	if err := w.inspector.DeleteTask(tasks.StageCreate.Queue(), "images:create"); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.checkDone("images")
}

// TestSweeperOnTakenIDs: a finished task that holds the id a job needs is no task to wait for.
func TestSweeperOnTakenIDs(t *testing.T) {
	t.Parallel()
	archive := func(w *world, info *asynq.TaskInfo) {
		if err := w.inspector.ArchiveTask(info.Queue, info.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	t.Run("archived while rendering", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Render: slow})
		w.submit(images())
		for range 2 {
			if err := w.step(w.waiting()[0]); err != nil {
				t.Fatal(err)
			}
		}
		archive(w, w.waiting()[0])
		w.sweep()
		if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeArchived || job.Error.Stage != "poll" {
			t.Errorf("got %s (%+v)", job.State, job.Error)
		}
	})
	t.Run("archived at its last attempt", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Render: slow})
		w.submit(images())
		for range 2 {
			if err := w.step(w.waiting()[0]); err != nil {
				t.Fatal(err)
			}
		}
		info := w.waiting()[0]
		payload, err := tasks.NewTask(w.job("images").Next())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.inspector.DeleteTask(info.Queue, info.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.queue.Enqueue(payload, asynq.MaxRetry(0)); err != nil {
			t.Fatal(err)
		}
		archive(w, w.waiting()[0])
		w.sweep()
		if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeAttempts || job.Error.Stage != "poll" {
			t.Errorf("got %s (%+v)", job.State, job.Error)
		}
	})
	t.Run("archived with an open mark", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.on["http POST after"] = w.process.kill
		info := w.waiting()[0]
		if err := w.step(info); err == nil {
			t.Fatal("not killed")
		}
		archive(w, info)
		w.sweep()
		if job := w.checkLaws("images"); job.State != tasks.Unknown || w.fake.Totals().Creates != 1 {
			t.Errorf("got %s (%+v)", job.State, job.Error)
		}
	})
	t.Run("archived while cleaning", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		archive(w, w.untilCleanup())
		w.sweep()
		if job := w.job("images"); job.State != tasks.Cleaning || job.Epoch != 2 {
			t.Errorf("got %s in epoch %d, want cleaning in epoch 2", job.State, job.Epoch)
		}
		w.run()
		w.checkDone("images")
	})
	t.Run("waiting tasks only get time", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.untilCleanup()
		for range 3 {
			w.sweep()
		}
		if job, infos := w.job("images"), w.waiting(); job.Epoch != 1 || len(infos) != 1 {
			t.Errorf("got epoch %d and tasks %v", job.Epoch, infos)
		}
	})
}

// TestSweeperDropsStrays: entries without an active record go, but not while a Submit may still
// be about to write it.
func TestSweeperDropsStrays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	if err := w.pipeline.records.SetDeadline(t.Context(), "stray", time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		forward time.Duration
		left    int
	}{{2 * time.Minute, 1}, {2 * time.Hour, 0}} {
		w.forward(tt.forward)
		if _, err := w.pipeline.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		late, err := w.pipeline.records.Overdue(t.Context(), 0, 10)
		if err != nil || len(late) != tt.left {
			t.Errorf("%v later: got %v, %v; want %d left", tt.forward, late, err, tt.left)
		}
	}
}

// TestSweeperOnActiveTasks: an active task whose lease somebody holds is left alone; one that nobody holds, and
// that Asynq does not take back, is replaced.
func TestSweeperOnActiveTasks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lease time.Duration // from now; 0: none at all
		epoch int
	}{
		"under way":                     {30 * time.Second, 1},
		"to be taken back by Asynq":     {-time.Minute, 1},
		"not taken back for an hour":    {-time.Hour, 2},
		"an active entry without lease": {0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.submit(images())
			w.activate(w.untilStage(tasks.StageDownload))
			w.forward(10 * time.Minute)
			if tt.lease != 0 {
				until := float64(w.clock().Add(tt.lease).Unix())
				if err := w.plain.ZAdd(t.Context(), "asynq:{hourglass-download}:lease", redis.Z{Score: until, Member: "images:download"}).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.pipeline.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if job := w.job("images"); job.Epoch != tt.epoch || len(w.waiting()) != tt.epoch-1 {
				t.Errorf("got epoch %d and tasks %v, want epoch %d", job.Epoch, w.waiting(), tt.epoch)
			}
			if tt.epoch == 2 {
				w.run()
				w.checkDone("images")
			}
		})
	}
}

// activate makes a pending task look as it does while a worker runs it.
func (w *world) activate(info *asynq.TaskInfo) {
	w.t.Helper()
	queue := "asynq:{" + info.Queue + "}:"
	for _, err := range []error{
		w.plain.LRem(w.t.Context(), queue+"pending", 1, info.ID).Err(),
		w.plain.LPush(w.t.Context(), queue+"active", info.ID).Err(),
		w.plain.HSet(w.t.Context(), queue+"t:"+info.ID, "state", "active").Err(),
	} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestSweepOfAFullRedis: where nothing can be written, a sweep ends at the first job, and the next one goes on.
func TestSweepOfAFullRedis(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(t)})
	t.Cleanup(func() { _ = rdb.Close() })
	p := New(nil, nil, nil, rdb, slog.New(slog.DiscardHandler), Settings{RecordTTL: time.Hour, GiveUp: 24 * time.Hour})
	const jobs = sweepPage + 50
	for i := range jobs {
		r := images()
		r.ID = fmt.Sprintf("job-%d", i)
		job, err := tasks.NewJob(r, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.save(t.Context(), &record{job: job}, job.Clone(), 0); err != nil {
			t.Fatal(err)
		}
		if err := p.records.SetDeadline(t.Context(), r.ID, -time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{"maxmemory-policy": "noeviction", "maxmemory": "1"} {
		if err := rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if looked, err := p.Sweep(t.Context()); err == nil || looked > jobs || len(err.Error()) > 2000 {
		t.Errorf("looked at %d, error of %d bytes", looked, len(fmt.Sprint(err)))
	}
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if looked, err := p.Sweep(t.Context()); err != nil || looked < jobs {
		t.Errorf("with memory again: looked at %d, %v", looked, err)
	}
}
