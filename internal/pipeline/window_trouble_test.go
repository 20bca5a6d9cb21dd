package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestWindowOfThePoisoned: a job that meets trouble again and again lets others pass, waits again behind them, and
// comes to its end all the same.
func TestWindowOfThePoisoned(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(w *world){
		"the API can't bear the request": func(w *world) {
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusBadGateway})
		},
		"the store can't be read": func(w *world) {
			w.when("store head before", func() { w.failNext(errors.New("503 Slow Down")) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWindow(t, 1)
			refuse := func() {
				for w.tries = range windowTries {
					trouble(w)
					_ = w.step(w.due()[0])
				}
			}
			w.submit(voice("poison", tasks.Options{}))
			trouble(w)
			_ = w.step(w.due()[0])
			w.submit(voice("sound", tasks.Options{}))
			if err := w.step(w.due()[1]); err != nil {
				t.Fatal(err)
			}
			w.checkWindow(1, 1) // once is nobody's fault
			refuse()
			w.checkWindow(1, 0)
			if job := w.job("sound"); job.Hold != nil {
				t.Errorf("sound is still held by %+v", job.Hold)
			}
			if err := w.step(w.due()[0]); err != nil {
				t.Fatal(err)
			}
			w.checkWindow(1, 1) // it waits behind
			w.forward(25 * time.Hour)
			w.tries = 0
			for w.job("sound").State != tasks.Done {
				w.forward(15 * time.Second)
				infos := w.due()
				if err := w.step(infos[len(infos)-1]); err != nil { // that of poison is a create, and comes first
					t.Fatal(err)
				}
			}
			w.checkWindow(1, 0)
			if job := w.job("poison"); job.FreeSince != nil || job.State != tasks.Pending {
				t.Errorf("it is %s, and its age counts from %v", job.State, job.FreeSince)
			}
			refuse()
			if job := w.job("poison"); job.State != tasks.Failed || job.Error.Code != codeGaveUp {
				t.Errorf("it is %s (%+v)", job.State, job.Error)
			}
		})
	}
}

// TestWindowSubmitAgain: who submits a job again that waits for its turn changes nothing.
func TestWindowSubmitAgain(t *testing.T) {
	t.Parallel()
	w := newWindow(t, 1)
	w.recovery.retained = true
	for _, id := range []string{"one", "two"} {
		w.handIn(voice(id, tasks.Options{}))
	}
	w.stepAll()
	w.checkWindow(1, 1)
	for range 3 {
		w.handIn(voice("two", tasks.Options{}))
		w.stepAll()
	}
	if job := w.job("two"); job.Epoch != 1 {
		t.Errorf("it is in epoch %d", job.Epoch)
	}
	w.plain.Del(t.Context(), "hourglass:{fleet}:window:waiting")
	w.handIn(voice("two", tasks.Options{}))
	w.stepAll()
	w.checkWindow(1, 1)
	w.run()
	w.settle()
	if job := w.job("two"); job.State != tasks.Done {
		t.Errorf("it is %s, held by %+v", job.State, job.Hold)
	}
}

// TestWindowSweptBeside: the window is looked at as soon as a worker starts, and while it sweeps, however long that
// takes.
func TestWindowSweptBeside(t *testing.T) {
	t.Parallel()
	w := newWindow(t, 1)
	for _, id := range []string{"one", "two", "three"} {
		w.submit(voice(id, tasks.Options{}))
	}
	w.stepAll()
	untilWait := func(want int64) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); <-time.After(5 * time.Millisecond) {
			if got, err := w.pipeline.Window(t.Context()); err == nil && got.Waiting == want {
				return
			}
			w.forward(time.Second)
		}
		t.Errorf("never do %d wait", want)
	}
	sweep := func(after func(time.Duration) <-chan time.Time) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		w.pipeline.after = after
		ended := make(chan struct{})
		go func() { w.pipeline.SweepEvery(ctx); close(ended) }()
		return func() { cancel(); <-ended }
	}
	w.open(2)
	stop := sweep(func(time.Duration) <-chan time.Time { return nil })
	untilWait(1) // at the start
	stop()
	busy, goesOn := make(chan struct{}), make(chan struct{})
	w.when("store tidy before", func() { close(busy); <-goesOn })
	stop = sweep(func(time.Duration) <-chan time.Time { return time.After(time.Millisecond) })
	<-busy
	if _, err := w.client.Cancel(t.Context(), "one"); err != nil { // which gives no slot back
		t.Fatal(err)
	}
	untilWait(0)
	close(goesOn)
	stop()
}

// TestWindowPatience: jobs that came together are not all looked at together, and a look costs little.
func TestWindowPatience(t *testing.T) {
	t.Parallel()
	var earliest, latest time.Duration
	for n := range 100 {
		d := patienceOf(&tasks.Job{Status: tasks.Status{ID: fmt.Sprint("job-", n)}, Epoch: 1})
		if earliest == 0 || d < earliest {
			earliest = d
		}
		latest = max(latest, d)
	}
	if earliest < windowPatience || latest-earliest < 5*time.Minute {
		t.Errorf("100 jobs are looked at after %s to %s", earliest, latest)
	}
	w := newWindow(t, 1)
	w.submit(voice("one", tasks.Options{}))
	w.submit(voice("two", tasks.Options{}))
	w.stepAll()
	before := w.count[inRedis]
	if waits, err := w.pipeline.stillWaits(t.Context(), w.job("two")); !waits || err != nil {
		t.Error(waits, err)
	}
	if asked := w.count[inRedis] - before; asked != 2 {
		t.Errorf("Redis was asked %d times, want a look at the queue and a deadline", asked)
	}
}

// TestWindowOfALostRecord: Redis has forgotten what a job did last, and its slot stands in an epoch of which the record
// does not know. It is given back.
func TestWindowOfALostRecord(t *testing.T) {
	t.Parallel()
	w := newWindow(t, 1)
	w.submit(voice("one", tasks.Options{}))
	w.run()
	if _, err := w.pipeline.records.JoinWindow(t.Context(), records.Place{Job: "one", Epoch: 7}); err != nil {
		t.Fatal(err)
	}
	w.checkWindow(1, 0)
	w.sweepAfter(time.Minute)
	w.checkWindow(0, 0)
}

// TestWindowCountsAll: however many are rendering already, each is counted.
func TestWindowCountsAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.submit(voice("first", tasks.Options{}))
	w.stepAll()
	for n := range countPage + 1 { // of these only the index knows
		w.forward(time.Millisecond)
		if _, err := w.pipeline.records.Enter(t.Context(), string(tasks.Rendering), fmt.Sprint("other-", n)); err != nil {
			t.Fatal(err)
		}
	}
	w.open(1)
	w.sweepAfter(time.Minute)
	w.checkWindow(1, 0)
}

// TestHeldNoLonger: a job that waits for its turn to call the API does not say that it is held by hand.
func TestHeldNoLonger(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.rate = 1
	w.start()
	for n := range 6 {
		w.submit(voice(fmt.Sprint(n), tasks.Options{}))
	}
	if _, err := w.pipeline.holds.ByHand(t.Context(), tasks.StageCreate, ""); err != nil {
		t.Fatal(err)
	}
	infos := w.due()
	for _, info := range infos {
		_ = w.step(info)
	}
	if job := w.job("5"); job.Hold == nil || job.Hold.Code != byHand {
		t.Fatalf("held by %+v", job.Hold)
	}
	if _, err := w.pipeline.holds.Release(t.Context(), tasks.StageCreate); err != nil {
		t.Fatal(err)
	}
	turns := 0
	for _, info := range infos {
		var s *setback
		late := errors.As(w.step(info), &s) && s.turn
		if late {
			turns++
		}
		if job := w.job(info.ID[:1]); job.Hold != nil || late && job.FreeSince == nil {
			t.Errorf("%s is held by %+v, free since %v", job.ID, job.Hold, job.FreeSince)
		}
	}
	if turns == 0 {
		t.Error("none had to wait for its turn")
	}
}
