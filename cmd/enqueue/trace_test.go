package main

import (
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-290c2414/hourglass/internal/tracing"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestTracesOfABatch: each job has a trace of its own, and a link says of which batch it is. Where nobody records, all
// are in the trace of whoever calls.
func TestTracesOfABatch(t *testing.T) {
	t.Parallel()
	const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	jobs := []*tasks.Job{{}, {}}
	below := tracing.Below(t.Context(), map[string]string{"traceparent": caller})
	inOwnTraces(below, jobs)()
	if jobs[0].Trace.Parent != "" { // the client gives it the caller's
		t.Errorf("nobody records, and the job is below %q", jobs[0].Trace.Parent)
	}
	spans := tracetest.NewInMemoryExporter()
	batch, span := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("test").Start(below, "batch")
	defer span.End()
	inOwnTraces(batch, jobs)()
	seen := map[trace.TraceID]bool{span.SpanContext().TraceID(): true}
	for i, s := range spans.GetSpans() {
		if seen[s.SpanContext.TraceID()] || s.Parent.IsValid() || len(s.Links) != 1 || s.Links[0].SpanContext.SpanID() != span.SpanContext().SpanID() {
			t.Errorf("got %+v", s)
		}
		seen[s.SpanContext.TraceID()] = true
		if tracing.Span(t.Context(), jobs[i].Trace.Parent).SpanID() != s.SpanContext.SpanID() {
			t.Errorf("job %d is below %s, want %s", i, jobs[i].Trace.Parent, s.SpanContext.SpanID())
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d spans, want 2", len(seen)-1)
	}
}
