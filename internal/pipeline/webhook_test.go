package pipeline

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

const hookSecret = "whsec_canary"

func hookSecrets() ([]string, error) { return []string{"whsec_next", hookSecret}, nil }

// receiveWebhooks lets the fake send its events to the pipeline, over HTTP. A process that is killed
// meanwhile answers nothing.
func (w *world) receiveWebhooks(o magichourtest.Webhooks) {
	w.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hook.Lock() // with start and delivered: no order is seen in what goes over the network
		defer w.hook.Unlock()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		handler := w.pipeline.Webhook(hookSecrets, 5*time.Minute)
		err := w.process.alive(func() error { handler.ServeHTTP(rw, r.WithContext(ctx)); return nil })
		if err != nil { // ctx ends as well, or the handler would wait for its own time limit
			panic(http.ErrAbortHandler)
		}
	}))
	w.t.Cleanup(server.Close)
	o.URL, o.Secret = server.URL, hookSecret
	w.fake.SetWebhooks(o)
}

// delivered sends the events that are due, and returns how many were taken.
func (w *world) delivered() int {
	w.t.Helper()
	taken := w.fake.Deliver(w.t.Context())
	select {
	case <-w.process.dead:
		w.start() // the events that were not taken come again
	default:
	}
	return taken
}

// deliver sends the events that are due, and wants so many of them to be taken.
func (w *world) deliver(want int) {
	w.t.Helper()
	if got := w.delivered(); got != want {
		w.t.Errorf("%d events were taken, want %d", got, want)
	}
}

// newPollWorld is a world whose video renders, with its first poll waiting.
func newPollWorld(t *testing.T) (*world, *asynq.TaskInfo) {
	t.Helper()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.receiveWebhooks(magichourtest.Webhooks{})
	w.submit(requests()[0])
	return w, w.untilStage(tasks.StagePoll)
}

func (w *world) onlyTask() *asynq.TaskInfo {
	w.t.Helper()
	infos := w.waiting()
	if len(infos) != 1 {
		w.t.Fatalf("%d tasks wait, want one", len(infos))
	}
	return infos[0]
}

// TestWebhookHastensThePoll: the waiting poll runs when the render has ended, and not when it has
// only begun.
func TestWebhookHastensThePoll(t *testing.T) {
	t.Parallel()
	w, _ := newPollWorld(t)
	w.forward(6 * time.Second)
	w.deliver(1)
	if got := w.onlyTask().State; got != asynq.TaskStateScheduled {
		t.Errorf("after started: the poll is %s, want scheduled", got)
	}
	w.forward(20 * time.Second)
	w.deliver(1)
	if got := w.onlyTask().State; got != asynq.TaskStatePending {
		t.Errorf("after completed: the poll is %s, want pending", got)
	}
	w.run()
	if job := w.checkDone("video"); job.Polls != 1 {
		t.Errorf("%d polls, want 1", job.Polls)
	}
}

// TestWebhookHastensNoHeldPoll: what the API does not want now is not hastened; what waits for trouble to
// pass is.
func TestWebhookHastensNoHeldPoll(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]asynq.TaskState{429: asynq.TaskStateScheduled, 500: asynq.TaskStatePending} {
		w, poll := newPollWorld(t)
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: status, RetryAfter: "60"})
		if err := w.step(poll); err == nil {
			t.Fatalf("after %d: no setback", status)
		}
		w.forward(time.Minute)
		w.deliver(2)
		if got := w.onlyTask().State; got != want { // step leaves it as it was: scheduled
			t.Errorf("after %d: the poll is %s, want %s", status, got, want)
		}
		w.run()
		w.checkDone("video")
	}
}

// TestWebhookDuringAPoll: a poll that has asked too early asks again at once, whenever the event
// comes while it is under way.
func TestWebhookDuringAPoll(t *testing.T) {
	t.Parallel()
	calm, poll := newPollWorld(t)
	calm.deliver(0)
	first := len(calm.calls)
	if err := calm.step(poll); err != nil {
		t.Fatal(err)
	}
	calls := calm.calls[first:]
	asked := 0
	for i, call := range calls {
		if call != "http GET after" && asked == 0 {
			continue
		}
		asked++
		w, poll := newPollWorld(t)
		w.mu.Lock()
		w.at[len(w.calls)+i] = func() {
			w.forward(30 * time.Second)
			w.deliver(2) // started, completed
		}
		w.mu.Unlock()
		if err := w.step(poll); err != nil {
			t.Fatal(err)
		}
		if next := w.onlyTask(); next.State != asynq.TaskStatePending || next.ID != "video:poll:2" {
			t.Errorf("the event comes at %q: %s is %s, want poll 2 pending", call, next.ID, next.State)
		}
	}
	if asked < 5 {
		t.Errorf("only %d moments", asked)
	}
}

// TestWebhookAnswers holds the statuses that Magic Hour goes by.
func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	const tagged = `{"type":"video.completed","payload":{"id":"p1","name":"[j1~abcdefghijklmnopqrstuvwxyz]"}}`
	broken := func() ([]string, error) { return nil, errors.New("no such file") }
	tests := []struct {
		name    string
		body    string
		secrets func() ([]string, error)
		secret  string
		age     time.Duration
		redis   string
		want    int
	}{
		{"a project of nobody", tagged, hookSecrets, hookSecret, 0, "", 200},
		{"a project without a tag", `{"type":"video.completed","payload":{"id":"p2","name":"holiday"}}`, hookSecrets, hookSecret, 0, "", 200},
		{"during the rotation of secrets", tagged, hookSecrets, "whsec_next", 0, "", 200},
		{"an event of tomorrow", `{"type":"video.praised","payload":{}}`, hookSecrets, hookSecret, 0, "", 200},
		{"no JSON", `<html>`, hookSecrets, hookSecret, 0, "", 200},
		{"a stranger's signature", tagged, hookSecrets, "whsec_guessed", 0, "", 401},
		{"old", tagged, hookSecrets, hookSecret, 6 * time.Minute, "", 401},
		{"from the future", tagged, hookSecrets, hookSecret, -6 * time.Minute, "", 401},
		{"too large", strings.Repeat(" ", maxEvent+1), hookSecrets, hookSecret, 0, "", 413},
		{"Redis is away", tagged, hookSecrets, hookSecret, 0, "LOADING", 503},
		{"the secret's file is gone", tagged, broken, hookSecret, 0, "", 503},
	}
	for _, tt := range tests {
		w.redis.SetError(tt.redis)
		stamp := strconv.FormatInt(w.clock().Add(-tt.age).Unix(), 10)
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhooks/magichour", strings.NewReader(tt.body))
		req.Header.Set("magic-hour-event-timestamp", stamp)
		req.Header.Set("magic-hour-event-signature", magichourtest.Sign(tt.secret, stamp, []byte(tt.body)))
		answer := httptest.NewRecorder()
		w.pipeline.Webhook(tt.secrets, 5*time.Minute).ServeHTTP(answer, req)
		if answer.Code != tt.want || !strings.Contains(answer.Body.String(), `"status":`) {
			t.Errorf("%s: got %d %s, want %d", tt.name, answer.Code, answer.Body, tt.want)
		}
	}
	w.redis.SetError("")
	if kept, err := w.pipeline.records.Kept(t.Context(), "j1"); err != nil || len(kept) != 1 {
		t.Errorf("kept: got %v, %v; want the project of nobody, once", kept, err)
	}
}
