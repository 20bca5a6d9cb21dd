package pipeline

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A witness writes down what it is told.
type witness struct {
	mu       sync.Mutex
	steps    []string
	credits  int
	noticed  []time.Duration
	notified []string
	found    []Lost
}

func (w *witness) Saved(from, to *tasks.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.credits += to.CreditsCharged - from.CreditsCharged
	if from.State != to.State {
		w.steps = append(w.steps, fmt.Sprintf("%s to %s", from.State, to.State))
	}
}

func (w *witness) Noticed(_ *tasks.Job, within time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noticed = append(w.noticed, within)
}

func (w *witness) Notified(way tasks.Way, how Telling) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notified = append(w.notified, string(way)+" "+string(how))
}

func (w *witness) Found(lost Lost) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, lost)
}

// TestObserved: each step of a job is told once, with what it cost, and what the sweeper finds.
func TestObserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	seen := &witness{}
	w.pipeline.ObserveBy(seen)
	w.loses = true
	if _, err := w.client.Submit(t.Context(), images()); err != nil {
		t.Fatal(err)
	}
	w.run()
	want := []string{"pending to creating", "creating to rendering", "rendering to storing", "storing to cleaning", "cleaning to done"}
	if diff := cmp.Diff(want, seen.steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if got := w.job("images").CreditsCharged; seen.credits != got || got == 0 {
		t.Errorf("%d credits were told of, and %d charged", seen.credits, got)
	}
	if len(seen.noticed) != 1 || seen.noticed[0] <= 0 || seen.noticed[0] > 11*time.Minute { // a sweep later
		t.Errorf("noticed within %s", seen.noticed)
	}
	if len(seen.found) < 4 || slices.ContainsFunc(seen.found, func(l Lost) bool { return l != LostGone }) {
		t.Errorf("found %q, want a task that is gone at each stage", seen.found)
	}
}
