package pipeline

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestKilledWithWebhooks kills the process at every moment of a job's life with webhooks: only a job
// for which nothing was bought stays unknown. From the copy on webhooks have nothing to say.
func TestKilledWithWebhooks(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"after the answer": false, "before the answer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calm := liveWithWebhooks(t, early, -1)
			calls := slices.Clone(calm.calls)
			calm.checkAdopted(1)
			end := "store put before"
			if early {
				end = "http POST after"
			}
			calls = calls[:slices.Index(calls, end)]
			parked := 0
			for k, call := range calls {
				w := liveWithWebhooks(t, early, k)
				job := w.checkLaws("video")
				if bought := w.fake.Totals().Creates == 1; bought != (job.State == tasks.Done) || !bought && job.State != tasks.Unknown {
					t.Fatalf("killed at %d (%s): got %s after %d creates (%+v)", k, call, job.State, w.fake.Totals().Creates, job.Error)
				}
				if job.Epoch > 1 || job.State == tasks.Unknown {
					parked++
				}
			}
			t.Logf("killed at %d moments; %d of them have parked the job", len(calls), parked)
			if parked == 0 {
				t.Error("no moment parks the job")
			}
		})
	}
}

// liveWithWebhooks lets a job live in a process that is killed at a moment, while events come.
func liveWithWebhooks(t *testing.T, early bool, killedAt int) *world {
	t.Helper()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.receiveWebhooks(magichourtest.Webhooks{Early: early})
	w.stopAt[killedAt] = true
	w.submit(requests()[0])
	for quiet := 0; quiet < 2; quiet++ {
		for _, info := range w.waiting() {
			quiet = 0
			_ = w.step(info)
		}
		w.forward(15 * time.Second)
		w.delivered()
		if len(w.waiting()) == 0 {
			w.sweep()
		}
	}
	return w
}

// TestAdoptionIsTriedAgain: whatever fails or dies on the way, the sweeper ends what was begun.
func TestAdoptionIsTriedAgain(t *testing.T) {
	t.Parallel()
	calm := newParked(t, magichourtest.Webhooks{})
	first := len(calm.calls)
	calm.deliver(2)
	calls := slices.Clone(calm.calls[first:])
	calm.checkAdopted(2)
	if len(calls) < 20 {
		t.Fatalf("only %d moments: %v", len(calls), calls)
	}
	for i, call := range calls {
		for name, happens := range map[string]func(w *world, gate int){
			"fails": func(w *world, gate int) { w.fail[gate] = errors.New("READONLY") },
			"dies":  func(w *world, gate int) { w.stopAt[gate] = true },
		} {
			w := newParked(t, magichourtest.Webhooks{})
			w.mu.Lock()
			happens(w, len(w.calls)+i)
			w.mu.Unlock()
			taken := w.delivered()
			if taken < 2 { // sent again
				w.forward(2 * time.Second)
				w.deliver(2 - taken)
			}
			w.sweep()
			w.checkAdopted(2)
			if t.Failed() {
				t.Fatalf("%s at moment %d, %s", name, i, call)
			}
		}
	}
}

// TestWorkerDiesBetweenKeepAndMatch: the event was taken and never comes again.
func TestWorkerDiesBetweenKeepAndMatch(t *testing.T) {
	t.Parallel()
	w := newParked(t, magichourtest.Webhooks{})
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 500, Times: 2})
	w.deliver(2)
	w.checkParked(true)
	w.sweep()
	w.checkAdopted(2)
}

// TestSightingsAreNotAskedForForEver: a project that nobody can look at costs some thirty calls in all.
func TestSightingsAreNotAskedForForEver(t *testing.T) {
	t.Parallel()
	w := newParked(t, magichourtest.Webhooks{})
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 500, Times: 10_000})
	w.deliver(2)
	looks := func() (n int) {
		for _, call := range w.calls {
			if call == "http GET before" {
				n++
			}
		}
		return n
	}
	for range 26 * 60 {
		w.forward(time.Minute)
		if _, err := w.pipeline.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := looks(); n < 25 || n > 40 {
		t.Errorf("%d looks at the project in a day", n)
	}
	w.checkParked(false)
}
