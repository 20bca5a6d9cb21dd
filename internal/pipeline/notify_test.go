package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A listener is told of jobs. Where it is told by URL it answers as it is set to.
type listener struct {
	url    string
	sender *callback.Sender

	mu     sync.Mutex
	answer func(http.ResponseWriter)
	posted []tasks.Notice
	bodies map[string]string // by id: each the same at every try
	wrong  []string
}

func newReceiver(t tester) *listener {
	t.Helper()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	r := &listener{bodies: map[string]string{}, answer: func(http.ResponseWriter) {}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.take(w, q.Header, body, secret)
	}))
	t.Cleanup(server.Close)
	allow, err := callback.ParseAllow("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r.url = server.URL
	r.sender = callback.New(func() (string, error) { return secret, nil }, allow, "test")
	t.Cleanup(r.sender.Close)
	return r
}

func (r *listener) take(w http.ResponseWriter, h http.Header, body []byte, secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := h.Get("Webhook-Id")
	secrets, _ := callback.ParseSecrets(secret)
	var n tasks.Notice
	if err := json.Unmarshal(body, &n); err != nil || n.ID != id || h.Get("Webhook-Signature") != callback.Sign(secrets, id, h.Get("Webhook-Timestamp"), body) {
		r.wrong = append(r.wrong, string(body))
	}
	if before, told := r.bodies[id]; told && before != string(body) {
		r.wrong = append(r.wrong, "another body under the same id")
	}
	r.bodies[id] = string(body)
	r.posted = append(r.posted, n)
	r.answer(w)
}

func (r *listener) answers(how func(http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = how
}

func (r *listener) everyWay() tasks.Notify {
	return tasks.Notify{URL: r.url + "/hook?token=hidden", Task: &tasks.NotifyTask{Queue: "mine", Type: "media:ready"}, Stream: "mine:media"}
}

// types are what each way was told, without repetitions, in the order in which they came.
func (w *world) told() map[tasks.Way][]string {
	w.t.Helper()
	told := map[tasks.Way][]string{}
	add := func(way tasks.Way, n tasks.Notice) {
		if text := string(n.Type) + " " + n.ID; !slices.Contains(told[way], text) {
			told[way] = append(told[way], text)
		}
	}
	w.receiver.mu.Lock()
	defer w.receiver.mu.Unlock()
	for _, n := range w.receiver.posted {
		add(tasks.WayURL, n)
	}
	for _, wrong := range w.receiver.wrong {
		w.t.Errorf("the receiver got %s", wrong)
	}
	infos, err := w.inspector.ListPendingTasks("mine")
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		w.t.Fatal(err)
	}
	for _, info := range infos {
		var n tasks.Notice
		if err := json.Unmarshal(info.Payload, &n); err != nil || info.Type != "media:ready" || info.ID != n.ID {
			w.t.Errorf("the caller's task: %s of type %s, %v", info.ID, info.Type, err)
		}
		add(tasks.WayTask, n)
	}
	for _, n := range w.stream("mine:media") {
		add(tasks.WayStream, n)
	}
	return told
}

func (w *world) stream(key string) []tasks.Notice {
	w.t.Helper()
	entries, err := w.plain.XRange(w.t.Context(), key, "-", "+").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	var all []tasks.Notice
	for _, e := range entries {
		var n tasks.Notice
		text, _ := e.Values["notice"].(string)
		if err := json.Unmarshal([]byte(text), &n); err != nil || e.Values["id"] != n.ID || e.Values["type"] != string(n.Type) || e.Values["job"] != n.Job.ID {
			w.t.Errorf("an entry of %s: %v, %v", key, e.Values, err)
		}
		all = append(all, n)
	}
	return all
}

// checkTold holds that every way was told all that the job has come to, by the same ids, and that nothing is left to
// be told.
func (w *world) checkTold(job *tasks.Job) {
	w.t.Helper()
	told := w.told()
	want := map[tasks.State]tasks.NoticeType{tasks.Done: tasks.NoticeStored, tasks.Failed: tasks.NoticeFailed, tasks.Canceled: tasks.NoticeCanceled, tasks.Unknown: tasks.NoticeUnknown}[job.State]
	for _, way := range []tasks.Way{tasks.WayURL, tasks.WayTask, tasks.WayStream} {
		slices.Sort(told[way])
		if !slices.Equal(told[way], told[tasks.WayURL]) {
			w.t.Errorf("%s was told %v, and the URL %v", way, told[way], told[tasks.WayURL])
		}
		if !slices.ContainsFunc(told[way], func(text string) bool { return strings.HasPrefix(text, string(want)+" ") }) {
			w.t.Errorf("%s was not told that the job is %s, but %v", way, job.State, told[way])
		}
	}
	if len(job.Unsent) > 0 {
		w.t.Errorf("left to be told: %+v", job.Unsent)
	}
}

// toldWorld is a world with a receiver, and a job that names it by every way.
func toldWorld(t *testing.T, o magichourtest.Options) (*world, tasks.Request) {
	t.Helper()
	w := newWorld(t, o)
	w.receiver = newReceiver(t)
	w.pipeline.CallBy(w.receiver.sender)
	r := images()
	r.Options.Notify = w.receiver.everyWay()
	return w, r
}

// TestTold: whatever becomes of a job, every way is told.
func TestTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		behavior magichourtest.Behavior
		do       func(*world)
		state    tasks.State
		events   []tasks.NoticeType
	}{
		{"stored", magichourtest.Behavior{}, nil, tasks.Done, []tasks.NoticeType{tasks.NoticeStored, tasks.NoticeDone}},
		{"failed", magichourtest.Behavior{Error: "no_source_face"}, nil, tasks.Failed, []tasks.NoticeType{tasks.NoticeFailed}},
		{"canceled at Magic Hour", magichourtest.Behavior{Canceled: true}, nil, tasks.Canceled, []tasks.NoticeType{tasks.NoticeCanceled}},
		{"canceled by a caller", magichourtest.Behavior{}, func(w *world) {
			if _, err := w.client.Cancel(w.t.Context(), "images"); err != nil {
				w.t.Fatal(err)
			}
		}, tasks.Canceled, []tasks.NoticeType{tasks.NoticeCanceled}},
		{"unknown", magichourtest.Behavior{}, func(w *world) {
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusGatewayTimeout})
		}, tasks.Unknown, []tasks.NoticeType{tasks.NoticeUnknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, r := toldWorld(t, magichourtest.Options{Behavior: tt.behavior})
			w.failing = tt.state == tasks.Failed
			w.submit(r)
			if tt.do != nil {
				tt.do(w)
			}
			w.run()
			job := w.checkLaws("images")
			if job.State != tt.state {
				t.Fatalf("got %s", job.State)
			}
			w.checkTold(job)
			w.checkNothingWaits("images")
			var events []tasks.NoticeType
			for _, n := range w.stream("hourglass:{fleet}:events") {
				events = append(events, n.Type)
			}
			if !slices.Equal(events, tt.events) {
				t.Errorf("the stream of the fleet has %v, want %v", events, tt.events)
			}
			if posted := w.receiver.posted[0]; posted.Job.State == tasks.Rendering || posted.Job.ID != "images" || posted.V != 1 || posted.Job.StoredAt == nil != (tt.state != tasks.Done) {
				t.Errorf("told %+v", posted)
			}
		})
	}
}

// notifications are the tasks that tell and wait.
func (w *world) notifications() []*asynq.TaskInfo {
	return slices.DeleteFunc(w.waiting(), func(info *asynq.TaskInfo) bool { return info.Queue != tasks.StageNotify.Queue() })
}

// tell runs the notifications as they are due, for so long, and returns when the receiver was called, and what came of
// the last try to.
func (w *world) tell(long time.Duration) (calls []time.Duration, last error) {
	w.t.Helper()
	began := w.clock()
	for w.clock().Sub(began) <= long {
		waiting := w.notifications()
		if len(waiting) == 0 {
			return calls, last
		}
		before := len(w.receiver.posted)
		delay := time.Second
		for _, info := range waiting {
			task := asynq.NewTaskWithHeaders(info.Type, info.Payload, info.Headers)
			err := w.step(info)
			var s *setback
			if errors.As(err, &s) {
				delay = retryDelay(0, err, task)
			}
			if strings.HasSuffix(info.ID, ":url") {
				last = err
			}
		}
		if len(w.receiver.posted) > before {
			calls = append(calls, w.clock().Sub(began))
		}
		w.forward(delay)
	}
	return calls, last
}

// TestReceiverIsAway: an hour away, and the notice comes soon after it is back; the job itself has not waited.
func TestReceiverIsAway(t *testing.T) {
	t.Parallel()
	w, r := toldWorld(t, magichourtest.Options{})
	w.receiver.answers(func(h http.ResponseWriter) { h.WriteHeader(http.StatusInternalServerError) })
	w.submit(r)
	w.runRoad()
	if job := w.job("images"); job.State != tasks.Done || w.fake.Totals().Deletes != 1 {
		t.Fatalf("the job waits for its receiver: it is %s", job.State)
	}
	calls, _ := w.tell(time.Hour)
	if len(calls) < 8 || len(calls) > 30 {
		t.Errorf("%d calls in an hour: %v", len(calls), calls)
	}
	if ttl := w.redis.TTL("hourglass:{images}:record"); ttl != 0 {
		t.Errorf("the record ends in %s, and its notice with it", ttl)
	}
	w.receiver.answers(func(http.ResponseWriter) {})
	again, _ := w.tell(40 * time.Minute)
	w.checkTold(w.job("images"))
	if len(again) != 1 || again[0] > 40*time.Minute {
		t.Errorf("told again after %v, want once within 40 min", again)
	}
	if len(w.receiver.bodies) != 1 {
		t.Errorf("%d ids for one notice", len(w.receiver.bodies))
	}
	w.settle()
	w.checkNothingWaits("images")
}

// runRoad runs all but the notifications.
func (w *world) runRoad() {
	w.t.Helper()
	for range 50 {
		road := slices.DeleteFunc(w.due(), func(info *asynq.TaskInfo) bool { return info.Queue == tasks.StageNotify.Queue() })
		if len(road) == 0 {
			return
		}
		for _, info := range road {
			w.forward(15 * time.Second)
			_ = w.step(info)
		}
	}
}

// TestGivenUp: after a day, or at once where nothing helps, a notice is given up: the job says so, without what is
// secret in the URL, and whoever runs the archived task tries once more.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer func(http.ResponseWriter)
		url    string
		least  int // calls
		most   int
		says   string
	}{
		{"a day of 500", func(h http.ResponseWriter) { h.WriteHeader(http.StatusInternalServerError) }, "", 25, 60, "500"},
		{"a day of redirects", func(h http.ResponseWriter) {
			h.Header().Set("Location", "http://169.254.169.254/latest")
			h.WriteHeader(http.StatusFound)
		}, "", 25, 60, "not followed"},
		{"410", func(h http.ResponseWriter) { h.WriteHeader(http.StatusGone) }, "", 1, 1, "410"},
		{"a private address", nil, "http://10.1.2.3/hook?token=hidden", 0, 0, "HOURGLASS_CALLBACK_ALLOW"},
		{"an address of the cloud's own", nil, "http://169.254.169.254/hook?token=hidden", 0, 0, "HOURGLASS_CALLBACK_ALLOW"},
		{"this machine", nil, "http://[::1]:1/hook?token=hidden", 0, 0, "HOURGLASS_CALLBACK_ALLOW"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, r := toldWorld(t, magichourtest.Options{})
			if tt.url != "" {
				r.Options.Notify.URL = tt.url
			}
			if tt.answer != nil {
				w.receiver.answers(tt.answer)
			}
			w.submit(r)
			w.runRoad()
			calls, last := w.tell(26 * time.Hour)
			if n := len(calls); n < tt.least || n > tt.most {
				t.Errorf("%d calls, want %d to %d", n, tt.least, tt.most)
			}
			if n := len(calls); n > 1 && calls[n-1] < 22*time.Hour {
				t.Errorf("given up after %s", calls[n-1])
			}
			if !errors.Is(last, asynq.SkipRetry) {
				t.Errorf("the task ended with %v, want it archived", last)
			}
			job := w.job("images")
			said := strings.Join(job.Warnings, "\n")
			if !strings.Contains(said, tt.says) || strings.Contains(said, "hidden") || job.Untold() || job.State != tasks.Done {
				t.Errorf("the job is %s, left to be told %v, and warns: %s", job.State, job.Untold(), said)
			}
			w.failing = true // one archived task is as it should be
			w.settle()
			w.checkNothingWaits("images")
			if ttl := w.redis.TTL("hourglass:{images}:record"); ttl <= 0 {
				t.Errorf("the record stays for ever")
			}
			if tt.url == "" {
				w.runByHand(t)
			}
		})
	}
}

// runByHand runs the archived notification, as a person does in the dashboard.
func (w *world) runByHand(t *testing.T) {
	t.Helper()
	infos, err := w.inspector.ListArchivedTasks(tasks.StageNotify.Queue())
	if err != nil || len(infos) != 1 {
		t.Fatalf("%d archived notifications, %v", len(infos), err)
	}
	w.receiver.answers(func(http.ResponseWriter) {})
	if err := w.inspector.RunTask(infos[0].Queue, infos[0].ID); err != nil {
		t.Fatal(err)
	}
	calls, last := w.tell(time.Minute)
	if len(calls) != 1 || last != nil {
		t.Errorf("run by hand: %d calls, %v", len(calls), last)
	}
	w.checkTold(w.job("images"))
}

// TestRetryAfter is heeded, up to an hour.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w, r := toldWorld(t, magichourtest.Options{})
	w.receiver.answers(func(h http.ResponseWriter) {
		h.Header().Set("Retry-After", "600")
		h.WriteHeader(http.StatusTooManyRequests)
	})
	w.submit(r)
	w.runRoad()
	if calls, _ := w.tell(time.Hour); len(calls) < 3 || len(calls) > 7 {
		t.Errorf("calls after %v, want about one in ten minutes", calls)
	}
}

// TestNoSecret: without one nothing is posted, and nothing is lost.
func TestNoSecret(t *testing.T) {
	t.Parallel()
	w, r := toldWorld(t, magichourtest.Options{})
	sender := w.receiver.sender
	w.pipeline.CallBy(callback.New(func() (string, error) { return "", callback.ErrNoSecret }, callback.Allow{}, "test"))
	w.submit(r)
	w.runRoad()
	if _, last := w.tell(10 * time.Minute); last == nil || !strings.Contains(last.Error(), "HOURGLASS_CALLBACK_SECRET") || len(w.receiver.posted) != 0 {
		t.Errorf("got %v after %d posts", last, len(w.receiver.posted))
	}
	w.pipeline.CallBy(sender)
	_, _ = w.tell(time.Hour)
	w.checkTold(w.job("images"))
}

// TestBusyHost: of one host only so many calls are on their way at a time, and no other host waits for it.
func TestBusyHost(t *testing.T) {
	t.Parallel()
	h := hosts{most: 2}
	first, second, third, other := h.enter("slow.example"), h.enter("slow.example"), h.enter("slow.example"), h.enter("other.example")
	if !first || !second || third || !other {
		t.Error("want two calls to one host at a time, and others beside them")
	}
	h.leave("slow.example")
	if !h.enter("slow.example") {
		t.Error("a call that has ended is counted")
	}
	w, r := toldWorld(t, magichourtest.Options{})
	w.submit(r)
	w.runRoad()
	const host = "127.0.0.1"
	if !w.pipeline.hosts.enter(host) {
		t.Fatal("the host is busy before anybody has called")
	}
	var waits error
	for _, info := range w.notifications() {
		if err := w.step(info); err != nil {
			waits = err
		}
	}
	if waits == nil || costsAttempt(waits) || len(w.receiver.posted) != 0 {
		t.Errorf("got %v after %d posts, want it to wait for its turn at no cost", waits, len(w.receiver.posted))
	}
	w.forward(25 * time.Hour)
	_, _ = w.tell(time.Minute)
	if job := w.job("images"); job.Untold() || len(job.Warnings) == 0 {
		t.Errorf("a host that is busy for a day: left to be told %v, warnings %v", job.Untold(), job.Warnings)
	}
	w.pipeline.hosts.leave(host)
	w.runByHand(t)
}

// TestNobodyServedNotices: after more than a day without a worker for them, each is tried; what somebody has archived is
// given up, and can be run by hand.
func TestNobodyServedNotices(t *testing.T) {
	t.Parallel()
	w, r := toldWorld(t, magichourtest.Options{})
	w.submit(r)
	w.runRoad()
	w.forward(30 * time.Hour)
	if w.sweep(); len(w.notifications()) != 3 || !w.job("images").Untold() {
		t.Fatalf("given up untried: %v", w.job("images").Warnings)
	}
	for _, info := range w.notifications() {
		if strings.HasSuffix(info.ID, ":url") {
			if err := w.inspector.ArchiveTask(info.Queue, info.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = w.tell(time.Minute)
	seen := &witness{}
	w.pipeline.ObserveBy(seen)
	w.sweep()
	if job := w.job("images"); job.Untold() || len(job.Warnings) != 1 || !slices.Contains(seen.notified, "url given_up") {
		t.Errorf("left to be told %v, warnings %v, observed %v", job.Untold(), job.Warnings, seen.notified)
	}
	w.runByHand(t)
}

// TestOrphanedNotice: a notification in the hands of nobody, as a failover may leave it, is followed by another one.
func TestOrphanedNotice(t *testing.T) {
	t.Parallel()
	w, r := toldWorld(t, magichourtest.Options{})
	w.submit(r)
	w.runRoad()
	for _, info := range w.notifications() {
		w.activate(info)
	}
	w.sweep()
	if len(w.notifications()) != 3 {
		t.Fatalf("%d notifications wait", len(w.notifications()))
	}
	_, _ = w.tell(time.Minute)
	w.checkTold(w.job("images"))
}

// TestStoppedWhileTelling: a worker that is told to stop gives nothing up, and blames nobody.
func TestStoppedWhileTelling(t *testing.T) {
	t.Parallel()
	w, r := toldWorld(t, magichourtest.Options{})
	w.submit(r)
	w.runRoad()
	w.forward(25 * time.Hour) // to fail now would be for good
	for _, info := range w.notifications() {
		if !strings.HasSuffix(info.ID, ":url") {
			continue
		}
		ctx, stop := context.WithCancel(t.Context())
		w.receiver.answers(func(http.ResponseWriter) { stop(); <-ctx.Done() })
		if err := w.pipeline.Handle(ctx, asynq.NewTaskWithHeaders(info.Type, info.Payload, info.Headers)); err == nil || costsAttempt(err) {
			t.Errorf("got %v", err)
		}
	}
	w.receiver.answers(func(http.ResponseWriter) {})
	_, _ = w.tell(time.Minute)
	w.checkTold(w.job("images"))
}

// TestLongReason: what a receiver writes does not fill Redis.
func TestLongReason(t *testing.T) {
	t.Parallel()
	text := redacted{errors.New(strings.Repeat("é", 100_000))}.Error()
	if len(text) > noticeLength+10 || !utf8.ValidString(text) {
		t.Errorf("%d bytes", len(text))
	}
}

// TestCanceledByOneWhoDies: a caller that is killed anywhere in its cancel leaves a job that is told of if it is canceled.
func TestCanceledByOneWhoDies(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		w, r := toldWorld(t, magichourtest.Options{})
		w.submit(r)
		w.untilStage(tasks.StagePoll)
		caller := w.begin()
		w.mu.Lock()
		w.count = map[layer]int{}
		w.faults = []fault{{inRedis, n, stopsAfter}}
		w.mu.Unlock()
		err := caller.alive(func() error {
			_, err := tasks.NewClient(caller.rdb).Cancel(t.Context(), "images")
			return err
		})
		w.calm()
		w.run()
		w.settle()
		w.checkTold(w.checkLaws("images"))
		w.checkNothingWaits("images")
		if err == nil {
			if n < 5 {
				t.Errorf("a cancel has %d calls", n)
			}
			return
		}
	}
}
