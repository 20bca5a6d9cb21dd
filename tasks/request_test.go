package tasks

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func textToVideo(id string) Request {
	return Request{ID: id, Operation: "text-to-video", Body: []byte(`{"end_seconds":5,"style":{"prompt":"a tin robot"}}`)}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "7", "j1", "2026-11-24.batch_3-line.4", strings.Repeat("x", 128)} {
		if err := CheckID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "-a", "_a", "a/b", "a:b", "a~2", "a b", "ä", "a\n", strings.Repeat("x", 129)} {
		if CheckID(bad) == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestNewJobRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request Request
		says    string
	}{
		{"unknown operation", Request{Operation: "text-to-smell", Body: []byte(`{}`)}, "text-to-smell"},
		{"missing field", Request{Operation: "text-to-video", Body: []byte(`{"end_seconds":5}`)}, "style: required"},
		{"not an object", Request{Operation: "text-to-video", Body: []byte(`[]`)}, "object"},
		{"no body", Request{Operation: "text-to-video"}, "body"},
		{"a priority that there is not", Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: Options{Priority: "urgent"}}, "want high, normal or low"},
		{"a tenant with a bar", Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: Options{Tenant: "a|b"}}, "tenant"},
		{"a tenant that is too long", Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: Options{Tenant: strings.Repeat("x", 65)}}, "tenant"},
		{"a give-up time that is too short", Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: Options{GiveUp: Duration(59 * time.Second)}}, "at least 1m"},
		{"a key prefix that climbs", withOptions(Options{KeyPrefix: "../x"}), "key_prefix"},
		{"a key prefix that ends in a slash", withOptions(Options{KeyPrefix: "acme/"}), "key_prefix"},
		{"too much metadata", withOptions(Options{Metadata: map[string]string{"a": strings.Repeat("x", 4096)}}), "4097 bytes"},
		{"metadata without a name", withOptions(Options{Metadata: map[string]string{"": "x"}}), "want names"},
		{"a callback that is no URL", withOptions(Options{Notify: Notify{URL: "ftp://example.com"}}), "notify.url"},
		{"a callback with a password", withOptions(Options{Notify: Notify{URL: "https://u:p@example.com/"}}), "notify.url"},
		{"a task for our own queue", withOptions(Options{Notify: Notify{Task: &NotifyTask{Queue: "hourglass-create", Type: "x"}}}), "notify.task"},
		{"a task without a type", withOptions(Options{Notify: Notify{Task: &NotifyTask{Queue: "mine"}}}), "notify.task"},
		{"a stream of Asynq's", withOptions(Options{Notify: Notify{Stream: "asynq:queues"}}), "notify.stream"},
		{"a negative give-up time", Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: Options{GiveUp: Duration(-time.Hour)}}, "at least 1m"},
		{"id that is a path", Request{ID: "../x", Operation: "text-to-video", Body: textToVideo("").Body}, "../x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewJob(tt.request, epoch)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want ErrInvalid that says %q", err, tt.says)
			}
			if _, err := NewCreate(tt.request); !errors.Is(err, ErrInvalid) {
				t.Errorf("NewCreate: got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestNewJobMakesTimeOrderedIDs(t *testing.T) {
	t.Parallel()
	last := ""
	for range 100 {
		job, err := NewJob(textToVideo(""), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if job.ID <= last {
			t.Fatalf("%q does not come after %q", job.ID, last)
		}
		last = job.ID
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"members are sorted", `{ "b": 1, "a": {"d":2,"c":3} }`, `{"a":{"c":3,"d":2},"b":1}`},
		{"one way to write a number", `[5, 5.0, 5e0, 0.50, 1e3, -0.25]`, `[5,5,5,0.5,1000,-0.25]`},
		{"numbers beyond a float64 stay", `[12345678901234567890, 0.12345678901234567]`, `[12345678901234567890,0.12345678901234567]`},
		{"text stays as it is", `{"p":"<tin> & \u00e4"}`, `{"p":"<tin> & ä"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Canonical([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, bad := range []string{``, `{`, `{} {}`} {
		if _, err := Canonical([]byte(bad)); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestTaskIDs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		state State
		epoch int
		want  string
	}{
		{Pending, 1, "j1:create"}, {Creating, 1, "j1:create"}, {Rendering, 1, "j1:poll:3"}, {Storing, 1, "j1:download"}, {Cleaning, 1, "j1:cleanup"},
		{Pending, 2, "j1:create~2"}, {Rendering, 2, "j1:poll:3~2"}, {Storing, 12, "j1:download~12"},
	}
	for _, tt := range tests {
		job := sampleJob()
		job.State, job.Epoch = tt.state, tt.epoch
		if got := TaskID(job.Next()); got != tt.want {
			t.Errorf("%s in epoch %d: got %s, want %s", tt.state, tt.epoch, got, tt.want)
		}
	}
	for _, s := range []State{Unknown, Done, Failed, Canceled} {
		job := sampleJob()
		job.State = s
		if next := job.Next(); next != nil {
			t.Errorf("%s: got %v, want no next task", s, next)
		}
	}
}

// TestMadeID: an id that is made sorts by time, and reads well in Asynqmon, whose lists cut ids at
// their first dash.
func TestMadeID(t *testing.T) {
	t.Parallel()
	var last string
	for range 100 {
		job, err := NewJob(textToVideo(""), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckID(job.ID); err != nil || job.ID <= last || strings.Contains(job.ID, "-") {
			t.Errorf("%s after %s (%v)", job.ID, last, err)
		}
		last = job.ID
	}
}

func withOptions(o Options) Request {
	return Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: o}
}
