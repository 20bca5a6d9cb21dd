package pipeline

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestClientKilled: a person's program is killed between any two of its commands to Redis. The job comes to
// its end all the same, or stays parked, and nothing is left of it for ever.
func TestClientKilled(t *testing.T) {
	t.Parallel()
	cancel := func(w *world, c *tasks.Client) error { _, err := c.Cancel(w.t.Context(), "images"); return err }
	retry := func(recreate bool) func(*world, *tasks.Client) error {
		return func(w *world, c *tasks.Client) error {
			_, err := c.Retry(w.t.Context(), "images", recreate)
			return err
		}
	}
	bare := func(w *world) { w.submit(images()) }
	unknown := func(w *world) {
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true})
		w.submit(images())
		w.run()
	}
	tests := []struct {
		name string
		from func(w *world)
		do   func(w *world, c *tasks.Client) error

		creates int // at most
	}{
		{"cancel a bare task", bare, cancel, 1},
		{"cancel what renders", func(w *world) { bare(w); w.untilStage(tasks.StagePoll) }, cancel, 1},
		{"retry", func(w *world) {
			w.putInTheWay("images/2.png")
			bare(w)
			w.run()
			w.removeObject("images/2.png")
		}, retry(false), 1},
		{"retry, and buy anew", func(w *world) {
			w.fake.Script(magichourtest.Behavior{Error: "no_source_face"})
			bare(w)
			w.run()
		}, retry(true), 2},
		{"resolve with the project", unknown, func(w *world, c *tasks.Client) error {
			_, err := c.Resolve(w.t.Context(), "images", tasks.Resolution{Project: w.fake.Projects()[0].ID})
			return err
		}, 1},
		{"resolve as given up", unknown, func(w *world, c *tasks.Client) error {
			_, err := c.Resolve(w.t.Context(), "images", tasks.Resolution{Fail: true})
			return err
		}, 1},
		{"park a restored bare task", bare, func(w *world, c *tasks.Client) error {
			for _, err := range c.ParkRestored(w.t.Context(), w.clock().Add(time.Hour)) {
				if err != nil {
					return err
				}
			}
			return nil
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for n := 0; killClientAt(t, n, tt.from, tt.do, tt.creates); n++ {
				if n == 200 {
					t.Fatal("the program never comes to its end")
				}
			}
		})
	}
}

// killClientAt kills a program at its n-th gate, and reports whether it got that far.
func killClientAt(t *testing.T, n int, from func(*world), do func(*world, *tasks.Client) error, creates int) bool {
	t.Helper()
	w := newWorld(t, magichourtest.Options{})
	from(w)
	before := w.job("images").State
	program := w.begin()
	w.calls, w.stopAt = nil, map[int]bool{n: true}
	err := program.alive(func() error { return do(w, tasks.NewClient(program.rdb)) })
	w.stopAt = map[int]bool{}
	switch {
	case err == nil && n == 0:
		t.Fatal("the program passes no gate")
	case err == nil:
		t.Logf("%d gates", n)
		return false
	case !errors.Is(err, errKilled):
		t.Fatalf("gate %d: %v", n, err)
	}
	at := w.calls[n] + ", from " + string(before) + " to " + string(w.job("images").State)
	w.run()
	job := w.job("images")
	if bought := w.fake.Totals().Creates; !job.State.Settled() || bought > creates || len(w.unproved) > 0 {
		t.Errorf("killed at %s: %s after %d creates; %v", at, job.State, bought, w.unproved)
	}
	w.checkIndex(job)
	if ttl := w.redis.TTL("hourglass:{images}:record"); job.State.Ended() != (ttl > 0) {
		t.Errorf("killed at %s: %s, and the record lives for %s more", at, job.State, ttl)
	}
	w.forward(month)
	w.sweep()
	// What the index holds too much is cleared by the next listing: a client enters a job before it saves it,
	// so one that dies between leaves an entry. The other way around, a job could be in no list.
	listed := w.listed()
	if job.State.Ended() {
		w.checkNoTrace("killed at " + at)
	} else if len(listed) != 1 {
		t.Errorf("killed at %s: listed %v, want the parked job", at, listed)
	}
	return true
}
