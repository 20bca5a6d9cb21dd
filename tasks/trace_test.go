package tasks

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

const (
	ordering = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	another  = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

type parentKey struct{}

// withParents is a client that finds the traceparent in the context.
func withParents(rdb redis.UniversalClient) *Client {
	return NewClient(rdb, WithTrace(func(ctx context.Context) map[string]string {
		parent, _ := ctx.Value(parentKey{}).(string)
		return map[string]string{"traceparent": parent, "tracestate": "vendor=1"}
	}))
}

// TestTraceOfASubmit: record and task carry the trace of the call that has made the job, and it is no part of the
// request.
func TestTraceOfASubmit(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := withParents(rdb)
		within := func(parent string) context.Context { return context.WithValue(t.Context(), parentKey{}, parent) }
		if _, err := c.Submit(within(ordering), textToVideo("j1")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(within(another), textToVideo("j1")); err != nil {
			t.Errorf("the same request within another trace: %v", err)
		}
		want := Trace{Parent: ordering, State: "vendor=1"}
		job, err := c.Job(t.Context(), "j1")
		if err != nil || job.Trace != want {
			t.Errorf("record: got %+v, %v; want %+v", job.Trace, err, want)
		}
		infos := waitingTasks(t, c)
		if len(infos) != 1 || infos[0].Headers["traceparent"] != ordering || infos[0].Headers["tracestate"] != "vendor=1" {
			t.Errorf("tasks: got %+v", infos)
		}
		if _, err := NewClient(rdb).Submit(within(ordering), textToVideo("j2")); err != nil {
			t.Fatal(err)
		}
		if job, err := c.Job(t.Context(), "j2"); err != nil || job.Trace != (Trace{}) {
			t.Errorf("a client that was not told to: got %+v, %v", job.Trace, err)
		}
	})
}

// TestTraceOfABareTask: whoever enqueues it writes headers, of which those that are a trace count.
func TestTraceOfABareTask(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers map[string]string
		want    Trace
	}{
		{"a trace", map[string]string{"traceparent": ordering, "tracestate": "vendor=1"}, Trace{Parent: ordering, State: "vendor=1"}},
		{"none", nil, Trace{}},
		{"something else", map[string]string{"traceparent": "secret", "tracestate": "secret"}, Trace{}},
		{"more than that", map[string]string{"traceparent": ordering + "\nsecret"}, Trace{}},
		{"a state of its own", map[string]string{"tracestate": "secret"}, Trace{}},
		{"a state that is too long", map[string]string{"traceparent": ordering, "tracestate": strings.Repeat("x", 513)}, Trace{Parent: ordering}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			task, err := NewCreate(textToVideo("j1"))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range tt.headers {
				task.Headers()[name] = value // as propagation.MapCarrier does
			}
			payload, err := Decode(task)
			if err != nil {
				t.Fatal(err)
			}
			job, err := payload.(*Create).Job()
			if err != nil || job.Trace != tt.want {
				t.Errorf("got %+v, %v; want %+v", job.Trace, err, tt.want)
			}
			if !payload.(*Create).Matches(&Job{Status: Status{Operation: job.Operation}, Body: job.Body}) {
				t.Error("its trace makes it another request")
			}
		})
	}
}

// TestTraceGoesOn: each task of a job says where its spans belong, in its headers alone.
func TestTraceGoesOn(t *testing.T) {
	t.Parallel()
	job := sampleJob()
	job.Trace = Trace{Parent: ordering, State: "vendor=1", Create: another}
	for _, state := range []State{Pending, Creating, Rendering, Storing, Cleaning} {
		job.State = state
		task, err := NewTask(job.Next())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"traceparent": ordering, "tracestate": "vendor=1"}, task.Headers()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", state, diff)
		}
		if strings.Contains(string(task.Payload()), "race") {
			t.Errorf("%s: the payload has it, too: %s", state, task.Payload())
		}
		again, err := Decode(asynq.NewTaskWithHeaders(task.Type(), task.Payload(), task.Headers()))
		if err != nil || again.Head().Trace.Parent != ordering {
			t.Errorf("%s: read as %+v, %v", state, again, err)
		}
	}
	text, err := job.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := DecodeJob(text); err != nil || again.Trace != job.Trace {
		t.Errorf("record: got %+v, %v", again.Trace, err)
	}
}
