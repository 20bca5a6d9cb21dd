package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestHeldForDays: the day on which the account is mended brings other errors, too. None of them
// ends a job that has only waited for a person.
func TestHeldForDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Credits: -1})
	w.submit(images())
	_ = w.step(w.waiting()[0])
	w.forward(30 * time.Hour)
	w.fake.SetCredits(1000)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 429}, magichourtest.Fault{Call: magichourtest.Create, Status: 503, Times: 3})
	w.on["store head after"] = func() { w.failNext(errors.New("503 Slow Down")) }
	for range 6 {
		if infos := w.waiting(); len(infos) > 0 {
			_ = w.step(infos[0])
		}
	}
	w.run()
	if job := w.checkDone("images"); job.Hold != nil {
		t.Errorf("still held: %+v", job.Hold)
	}
}

// failNext lets the next call to the outside fail.
func (w *world) failNext(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail[len(w.calls)] = err
}

// TestStoreThatLosesObjects: a store that never keeps what it has proved is not copied to for ever.
func TestStoreThatLosesObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	for range copiesAtMost + 1 {
		cleanup := w.untilCleanup()
		if err := os.Remove(strings.TrimPrefix(w.job("images").Outputs[0].URL, "file://")); err != nil {
			t.Fatal(err)
		}
		if err := w.step(cleanup); err != nil {
			t.Fatal(err)
		}
	}
	if job := w.checkLaws("images"); job.State != tasks.Done || *job.Remote != tasks.RemoteKept || job.RemoteReason == nil || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s, remote %v, after %d deletes", job.State, job.Remote, w.fake.Totals().Deletes)
	}
}

// TestDoneStaysDone: files that are taken out of the bucket after the end of the job are not copied
// again for the sake of a delete that is still to be done.
func TestDoneStaysDone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.pipeline.set.RecordTTL = time.Hour // less than until the next try
	w.submit(images())
	cleanup := w.untilCleanup()
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Delete, Status: 500})
	w.forward(25 * time.Hour)
	if err := w.step(cleanup); err != nil {
		t.Fatal(err)
	}
	before := w.job("images")
	if err := os.Remove(strings.TrimPrefix(before.Outputs[0].URL, "file://")); err != nil {
		t.Fatal(err)
	}
	w.forward(24 * time.Hour)
	w.run()
	job := w.checkLaws("images")
	if job.State != tasks.Done || *job.Remote != tasks.RemoteKept || len(job.Outputs) != 4 || !job.DoneAt.Equal(*before.DoneAt) || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s, remote %v, %d outputs, after %d deletes", job.State, *job.Remote, len(job.Outputs), w.fake.Totals().Deletes)
	}
}

// TestStraysHideNobody: entries without a record don't stand in the way of a job that is late.
func TestStraysHideNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	for i := range 2*sweepPage + 1 {
		if err := w.pipeline.records.SetDeadline(t.Context(), fmt.Sprintf("stray-%d", i), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	job, err := tasks.NewJob(images(), w.clock())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.pipeline.save(t.Context(), &record{job: job}, job.Clone(), 0); err != nil {
		t.Fatal(err)
	}
	if !w.sweep() {
		t.Error("the job that has lost its task was not found")
	}
}

// TestMissingNowAndThen: two blips far apart do not make a project gone.
func TestMissingNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	download := w.untilStage(tasks.StageDownload)
	for range 2 {
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 404})
		if err := w.step(download); err == nil || costsAttempt(err) || errors.Is(err, asynq.SkipRetry) {
			t.Errorf("got %v, want another look, at no cost", err)
		}
		w.forward(20 * time.Minute)
	}
	w.run()
	w.checkDone("images")
}

// TestStoppedAfterASave: a worker that is told to stop right after it has saved the record still
// hands the job on.
func TestStoppedAfterASave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	info := w.waiting()[0]
	ctx, stop := context.WithCancel(t.Context())
	w.on["http POST after"] = stop
	if err := w.handle(ctx, asynq.NewTask(info.Type, info.Payload)); err != nil {
		t.Errorf("got %v", err)
	}
	if job, infos := w.job("images"), w.waiting(); job.State != tasks.Rendering || len(infos) != 2 {
		t.Errorf("got %s and the tasks %v, want its poll beside the create that ran", job.State, infos)
	}
}
