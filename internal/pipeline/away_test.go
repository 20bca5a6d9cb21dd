package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestRedisAwayAfterARefusal: a purchase that was refused while Redis is away is not parked: its
// handler waits for Redis, and gives the mark back.
func TestRedisAwayAfterARefusal(t *testing.T) {
	t.Parallel()
	for name, gate := range map[string]int{"the write never comes": 0, "the answer to the write is lost": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 503})
			w.submit(images())
			info := w.waiting()[0]
			w.on["http POST after"] = func() { // each call has two gates
				w.mu.Lock()
				defer w.mu.Unlock()
				for n := range 4 {
					w.fail[len(w.calls)+2*n+gate] = errors.New("connection refused")
				}
			}
			if err := w.step(info); err == nil || !costsAttempt(err) {
				t.Errorf("the queue is told %v, want to try again", err)
			}
			if job := w.job("images"); job.State != tasks.Pending || job.Mark() != nil {
				t.Errorf("got %s with the mark %+v, want it given back", job.State, job.Mark())
			}
			w.run()
			w.checkDone("images")
		})
	}
}

// TestUnknownHost: a name that can't be resolved buys nothing, and is no reason to fail.
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	api, err := magichour.New("http://api.invalid", func() (string, error) { return "key", nil }, func(http.RoundTripper) http.RoundTripper {
		return roundTrip(func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.invalid", IsNotFound: true}}
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	op, _ := operations.Lookup("text-to-video")
	_, err = api.Create(t.Context(), op, []byte(`{}`), func() error { return nil })
	if v := classify(tasks.StageCreate, err); !certainlyNotCharged(err) || v.class != transient || !strings.Contains(v.message, "no such host") {
		t.Errorf("%v: got %+v", err, v)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestLogOfAnOutage: what keeps all jobs from going on is said once a minute, with the number of
// times that it was not said; what Asynq says of single tasks as well.
func TestLogOfAnOutage(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	now := noon
	p := &Pipeline{log: slog.New(slog.NewTextHandler(&written, nil)), now: func() time.Time { return now }}
	l := &asynqLog{log: p.log, now: p.now}
	outage := func(jobs int) string {
		written.Reset()
		for i := range jobs {
			p.logSetback(t.Context(), &tasks.Job{Status: tasks.Status{ID: fmt.Sprint("job-", i)}}, tasks.StagePoll, &setback{class: transient, code: codeTrouble, text: "500"})
			l.Warn(fmt.Sprintf("Could not move task id=job-%d:poll:1 from %q to %q; Will retry syncing", i, "a", "b"))
			l.Error(fmt.Sprintf("Dequeue error: dial tcp: 127.0.0.1:%d: connection refused", i))
		}
		return written.String()
	}
	if got := outage(30); strings.Count(got, "\n") != 3 || strings.Contains(got, "not_shown") {
		t.Errorf("first minute: %s", got)
	}
	now = now.Add(time.Minute)
	if got := outage(1); strings.Count(got, "\n") != 3 || strings.Count(got, "not_shown=29") != 3 {
		t.Errorf("second minute: %s", got)
	}
	written.Reset()
	p.logSetback(t.Context(), &tasks.Job{}, tasks.StageDownload, &setback{class: transient, code: codeTrouble})
	p.logSetback(t.Context(), &tasks.Job{}, tasks.StagePoll, &setback{class: transient, code: "bad_gateway"})
	if got := written.String(); strings.Count(got, "\n") != 2 {
		t.Errorf("another stage and another reason: %s", got)
	}
}
