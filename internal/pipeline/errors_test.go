package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	const create, poll, download = tasks.StageCreate, tasks.StagePoll, tasks.StageDownload
	tests := []struct {
		name  string
		stage tasks.Stage
		err   error
		want  class
	}{
		{"bad request", create, &magichour.Error{Status: 422}, permanent},
		{"plan lacks the feature", create, &magichour.Error{Status: 403}, permanent},
		{"not found on create", create, &magichour.Error{Status: 404}, permanent},
		{"a redirect", create, &magichour.Error{Status: 302}, held},
		{"too slow", create, &magichour.Error{Status: 408}, transient},
		{"no replica confirms", create, fmt.Errorf("save: %w", records.ErrUnconfirmed), held},
		{"out of credits", create, &magichour.Error{Status: 402, Code: "insufficient_credits"}, held},
		{"out of credits, old form", create, &magichour.Error{Status: 402}, held},
		{"plan must be upgraded", create, &magichour.Error{Status: 402, Code: "plan_upgrade_required"}, permanent},
		{"out of credits, said to a poll, ends no paid job", poll, &magichour.Error{Status: 402, Code: "insufficient_credits"}, held},
		{"rejected key on create", create, &magichour.Error{Status: 401}, held},
		{"rejected key on poll", poll, &magichour.Error{Status: 401}, held},
		{"rate limited", poll, &magichour.Error{Status: 429}, throttled},
		{"server error", poll, fmt.Errorf("poll: %w", &magichour.Error{Status: 503}), transient},
		{"forbidden, but paid for", poll, &magichour.Error{Status: 403}, transient},
		{"no answer", poll, &magichour.TransportError{Written: true, Err: errors.New("reset")}, transient},
		{"store has another object", download, fmt.Errorf("put: %w", storage.ErrExists), permanent},
		{"store does not prove", download, fmt.Errorf("put: %w", storage.ErrUnproved), transient},
		{"no key", create, &magichour.TransportError{Err: fmt.Errorf("%w: empty", magichour.ErrNoKey)}, held},
		{"a later version", poll, fmt.Errorf("v: %w", tasks.ErrVersion), held},
		{"store is away", download, errors.New("connection refused"), transient},
		{"what a stage found out", download, stop("x", "", "y"), permanent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := classify(tt.stage, tt.err)
			if got.class != tt.want {
				t.Errorf("got class %d, want %d", got.class, tt.want)
			}
			if got.code == "" || got.message == "" && tt.stage != download {
				t.Errorf("verdict without words: %+v", got)
			}
		})
	}
}

// TestCertainlyNotCharged is the split on which law 2 stands.
func TestCertainlyNotCharged(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		301: true, 302: true, 307: true, 308: true, 303: false, 304: false, 400: true, 401: true, 402: true, 403: true, 404: true, 422: true, 429: true, 502: true, 503: true,
		408: false, 500: false, 501: false, 504: false, 520: false, 524: false,
	} {
		if got := certainlyNotCharged(&magichour.Error{Status: status}); got != want {
			t.Errorf("status %d: got %v, want %v", status, got, want)
		}
	}
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"never connected":   {&magichour.TransportError{Err: errors.New("refused")}, true},
		"sent, no answer":   {&magichour.TransportError{Written: true, Err: context.DeadlineExceeded}, false},
		"nobody knows what": {errors.New("?"), false},
	} {
		if got := certainlyNotCharged(tt.err); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestWhatTheQueueIsTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		err   error
		text  string
		costs bool
	}{
		{"throttled", &setback{class: throttled, text: "429"}, "throttled: 429", false},
		{"not found just now", &setback{class: again, text: "404"}, "waiting: 404", false},
		{"held", &setback{class: held, text: "402"}, "held: 402", false},
		{"transient", &setback{class: transient, text: "503"}, "503", true},
		{"lease lost", asynq.ErrLeaseExpired, asynq.ErrLeaseExpired.Error(), true},
		{"archived", archived("no such voice"), "no such voice", true},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.text {
			t.Errorf("%s: Last Error is %q, want %q", tt.name, got, tt.text)
		}
		if got := costsAttempt(tt.err); got != tt.costs {
			t.Errorf("%s: costs an attempt: got %v, want %v", tt.name, got, tt.costs)
		}
	}
	if !errors.Is(archived("x"), asynq.SkipRetry) {
		t.Error("archived does not make Asynq archive")
	}
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	task := asynq.NewTask("hourglass:poll", []byte(`{"job_id":"j1"}`))
	var sum time.Duration
	for n := range 25 {
		d := retryDelay(n, &setback{class: transient}, task)
		if d < time.Second || d > 3*time.Hour {
			t.Errorf("attempt %d: %v", n, d)
		}
		sum += d
	}
	if sum < 24*time.Hour || sum > 36*time.Hour {
		t.Errorf("25 attempts take %v, want a good day", sum)
	}
	if d := retryDelay(20, &setback{class: throttled, after: 7 * time.Second}, task); d < 7*time.Second || d > 9*time.Second {
		t.Errorf("Retry-After 7s: got %v", d)
	}
}

// TestErrorCodesAreDocumented: a code that nobody can look up is of no use at three in the morning.
func TestErrorCodesAreDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`\n\tcode\w+\s+= "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 10 {
		t.Fatalf("found only %d codes", len(codes))
	}
	for _, code := range codes {
		if !strings.Contains(string(docs), "\n| `"+code[1]+"` |") {
			t.Errorf("docs/errors.md does not list %s", code[1])
		}
	}
}
