package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// traces lets the world's worker make spans, and returns them.
func (w *world) traces() *tracetest.InMemoryExporter {
	spans := tracetest.NewInMemoryExporter()
	w.pipeline.TraceBy(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test"))
	return spans
}

func attributesOf(s tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[strings.TrimPrefix(string(a.Key), "hourglass.")] = a.Value.String()
	}
	return all
}

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestTraced: all tasks of a job are in the trace of whoever submits, side by side, and those after the create are
// linked to it; also if each one is lost once, and has to be enqueued by the sweeper.
func TestTraced(t *testing.T) {
	t.Parallel()
	for name, loses := range map[string]bool{"as it goes": false, "every task is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.loses = loses
			spans := w.traces()
			client := tasks.NewClient(w.plain, tasks.WithTrace(func(context.Context) map[string]string { return map[string]string{"traceparent": caller} }))
			if _, err := client.Submit(t.Context(), images()); err != nil {
				t.Fatal(err)
			}
			w.run()
			w.checkDone("images")
			checkTrace(t, spans.GetSpans(), w.job("images"), caller)
		})
	}
}

// checkTrace holds that spans are those of one job, below one parent.
func checkTrace(t *testing.T, spans tracetest.SpanStubs, job *tasks.Job, parent string) {
	t.Helper()
	var steps []string
	for _, s := range spans {
		all := attributesOf(s)
		steps = append(steps, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", s.Name, all["poll"], all["state"], all["outcome"])))
		if all["job"] != job.ID || all["operation"] != job.Operation || all["epoch"] != "1" || all["project"] != job.ProjectID {
			t.Errorf("%s says %v", s.Name, all)
		}
		if got := fmt.Sprintf("00-%s-%s-01", s.SpanContext.TraceID(), s.Parent.SpanID()); got != parent {
			t.Errorf("%s is below %s, want %s", s.Name, got, parent)
		}
		if s.Name == "hourglass:create" {
			if got := fmt.Sprintf("00-%s-%s-01", s.SpanContext.TraceID(), s.SpanContext.SpanID()); got != job.Trace.Create || len(s.Links) > 0 {
				t.Errorf("the create is %s, and the record says %s; its links: %v", got, job.Trace.Create, s.Links)
			}
		} else if len(s.Links) != 1 || !strings.Contains(job.Trace.Create, s.Links[0].SpanContext.SpanID().String()) {
			t.Errorf("%s is linked to %v, want the create", s.Name, s.Links)
		}
	}
	want := []string{"hourglass:create  rendering ok"}
	for n := range job.Polls - 1 {
		want = append(want, fmt.Sprintf("hourglass:poll %d rendering ok", n+1))
	}
	want = append(want, fmt.Sprintf("hourglass:poll %d storing ok", job.Polls), "hourglass:download  cleaning ok", "hourglass:cleanup  done ok")
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// TestTracedFromTheCreate: the spans of a job that nobody has begun a trace for are below its create; a bare task
// brings its own.
func TestTracedFromTheCreate(t *testing.T) {
	t.Parallel()
	for name, parent := range map[string]string{"no trace": "", "a bare task's": caller} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			spans := w.traces()
			job, err := tasks.NewJob(images(), w.clock())
			if err != nil {
				t.Fatal(err)
			}
			job.Trace.Parent = parent
			w.enqueue(job.Next())
			w.run()
			w.checkDone("images")
			all, record := spans.GetSpans(), w.job("images")
			if parent != "" {
				checkTrace(t, all, record, parent)
				return
			}
			if record.Trace.Parent != record.Trace.Create || all[0].Parent.IsValid() {
				t.Errorf("the record says %+v, and the create is below %v", record.Trace, all[0].Parent)
			}
			for _, s := range all[1:] {
				if s.Parent.SpanID() != all[0].SpanContext.SpanID() {
					t.Errorf("%s is not below the create", s.Name)
				}
			}
		})
	}
}

// TestTracedTrouble: what costs an attempt, or ends the job, is an error, and what the job waits for is none.
func TestTracedTrouble(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault   magichourtest.Fault
		outcome string
		failed  bool
	}{
		{magichourtest.Fault{Call: "create", Status: 429}, "throttled", false},
		{magichourtest.Fault{Call: "create", Status: 401}, "held", false},
		{magichourtest.Fault{Call: "create", Status: 503}, "retry", true},
		{magichourtest.Fault{Call: "create", Status: 422}, "archived", true},
	}
	for _, tt := range tests {
		t.Run(tt.outcome, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			spans := w.traces()
			w.fake.Inject(tt.fault)
			w.submit(images())
			_ = w.step(w.waiting()[0])
			got := spans.GetSpans()
			if len(got) != 1 || attributesOf(got[0])["outcome"] != tt.outcome || (got[0].Status.Code == codes.Error) != tt.failed {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestTracedStrangers: a task that can't be read is a span as well, without a job.
func TestTracedStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	spans := w.traces()
	_ = w.handle(t.Context(), asynq.NewTaskWithHeaders("hourglass:poll", []byte("{"), map[string]string{"traceparent": "?"}))
	got := spans.GetSpans()
	if len(got) != 1 || attributesOf(got[0])["outcome"] != "archived" || slices.ContainsFunc(got[0].Attributes, func(a attribute.KeyValue) bool { return a.Key == "hourglass.job" }) {
		t.Errorf("got %+v", got)
	}
}
