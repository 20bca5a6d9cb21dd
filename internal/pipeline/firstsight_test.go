package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestUnreadablePayload is archived at once, and harms nobody.
func TestUnreadablePayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	for _, payload := range []string{``, `{`, `[]`, `{"v":0,"job_id":"x","epoch":1}`, `{"v":1,"job_id":"../x","epoch":1}`} {
		if err := w.handle(t.Context(), asynq.NewTask("hourglass:poll", []byte(payload))); !errors.Is(err, asynq.SkipRetry) || len(err.Error()) < 20 {
			t.Errorf("%q: got %v, want it archived with a reason", payload, err)
		}
	}
	later := asynq.NewTask("hourglass:poll", []byte(`{"v":99,"job_id":"x","epoch":1}`))
	if err := w.handle(t.Context(), later); err == nil || errors.Is(err, asynq.SkipRetry) || costsAttempt(err) {
		t.Errorf("a payload of a later version: got %v, want it to wait for a newer worker", err)
	}
	w.submit(images())
	w.run()
	w.checkDone("images")
}

func TestFirstSight(t *testing.T) {
	t.Parallel()
	body := string(images().Body)
	tests := []struct{ name, payload, reason string }{
		{"older than records are kept", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":` + body + `,"created_at":"2026-11-01T12:00:00Z"}`, "records are kept"},
		{"from the future", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":` + body + `,"created_at":"2027-11-01T12:00:00Z"}`, "future"},
		{"without its time", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":` + body + `}`, "created_at"},
		{"body that the API would refuse", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":{},"created_at":"2026-11-24T12:00:00Z"}`, "image_count: required"},
		{"operation that does not exist", `{"v":1,"job_id":"x","epoch":1,"operation":"text-to-smell","body":{},"created_at":"2026-11-24T12:00:00Z"}`, "text-to-smell"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			err := w.handle(t.Context(), asynq.NewTask("hourglass:create", []byte(tt.payload)))
			if !errors.Is(err, asynq.SkipRetry) || !strings.Contains(fmt.Sprint(err), tt.reason) {
				t.Errorf("got %v, want it archived because of %q", err, tt.reason)
			}
			if got := w.fake.Totals().Creates; got != 0 {
				t.Errorf("%d creates", got)
			}
		})
	}
}

// TestRecordWinsOverTask: after first sight the request comes from the record, and a task with
// another request is archived.
func TestRecordWinsOverTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	if _, err := w.client.Submit(t.Context(), images()); err != nil {
		t.Fatal(err)
	}
	other := images()
	other.Body = []byte(`{"image_count":1,"style":{"prompt":"something else"}}`)
	foreign, err := tasks.NewCreate(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.handle(t.Context(), foreign); !errors.Is(err, asynq.SkipRetry) || !strings.Contains(err.Error(), "different request") {
		t.Errorf("got %v, want it archived because the request differs", err)
	}
	w.forward(time.Until(w.clock()) + time.Hour) // Submit goes by the real clock
	w.run()
	if job := w.checkDone("images"); len(job.Outputs) != 4 {
		t.Errorf("%d outputs, want the 4 of the record's request", len(job.Outputs))
	}
}
