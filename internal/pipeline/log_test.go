package pipeline

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
)

// TestNoFlood: what concerns all jobs is said once, and strangers can't fill the log.
func TestNoFlood(t *testing.T) {
	t.Parallel()
	t.Run("an empty account", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Credits: -1})
		log := w.logged()
		for i := range 100 {
			r := images()
			r.ID = fmt.Sprintf("job-%d", i)
			w.submit(r)
		}
		for _, info := range w.waiting() {
			_ = w.step(info)
		}
		w.fake.SetCredits(100_000)
		w.forward(time.Minute)
		w.probe()
		for _, info := range w.waiting() {
			_ = w.step(info)
		}
		for _, words := range []string{`"job held"`, `"job no longer held"`, `"fleet held"`, `"fleet goes on"`} {
			if got := strings.Count(log.String(), "msg="+words); got != 1 {
				t.Errorf("%s is said %d times of 100 jobs", words, got)
			}
		}
	})
	t.Run("strangers", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		log := w.logged()
		h := w.pipeline.Webhook(hookSecrets, time.Minute)
		for range 100 {
			answer := httptest.NewRecorder()
			h.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/magichour", strings.NewReader("{}")))
			if answer.Code != http.StatusUnauthorized {
				t.Fatalf("got %d", answer.Code)
			}
		}
		if got := strings.Count(log.String(), "\n"); got != 1 {
			t.Errorf("%d lines for 100 unsigned requests", got)
		}
	})
}

// TestOneLinePerStep: a job that goes well is one line for each state that it comes into, and none for each poll.
func TestOneLinePerStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	log := w.logged()
	w.submit(images())
	w.run()
	w.checkDone("images")
	var steps []string
	for line := range strings.Lines(log.String()) {
		if _, words, found := strings.Cut(line, "level=INFO msg="); found && strings.Contains(line, "job=images") {
			step, _, _ := strings.Cut(words, " ")
			steps = append(steps, step)
		}
	}
	if diff := cmp.Diff([]string{"pending", "creating", "rendering", "storing", "cleaning", "done"}, steps); diff != "" || strings.Count(log.String(), "\n") != len(steps) {
		t.Errorf("lines (-want +got):\n%s\n%s", diff, log.String())
	}
}
