package pipeline

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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
