package pipeline

import (
	"context"
	"errors"

	"github.com/hibiken/asynq"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-290c2414/hourglass/internal/tracing"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TraceBy makes a span of every task; t may be nil, for none. It is called before Serve.
//
// All spans of a job stand side by side below the one that asked for it, and none below the one before: a job may be
// polled a hundred times. What ties them together is their link to the create that bought what they are about.
func (p *Pipeline) TraceBy(t trace.Tracer) { p.tracer = t }

// Handle is the handler of every task of every stage.
func (p *Pipeline) Handle(ctx context.Context, task *asynq.Task) error {
	if p.tracer == nil {
		return p.handle(ctx, task)
	}
	ctx = tracing.Below(ctx, task.Headers())
	ctx, span := p.tracer.Start(ctx, task.Type(), trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	err := p.handle(ctx, task)
	showOutcome(span, err)
	return err
}

// showTask says in the task's span what the task is about.
func showTask(ctx context.Context, payload tasks.Payload, job *tasks.Job) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("hourglass.job", job.ID), attribute.String("hourglass.operation", job.Operation),
		attribute.Int("hourglass.epoch", payload.Head().Epoch))
	if poll, ok := payload.(*tasks.Poll); ok {
		span.SetAttributes(attribute.Int("hourglass.poll", poll.N))
	}
	if create := tracing.Span(ctx, job.Trace.Create); create.IsValid() && payload.Stage() != tasks.StageCreate {
		span.AddLink(trace.Link{SpanContext: create})
	}
}

// showJob says in the task's span where the task has left its job.
func showJob(ctx context.Context, job *tasks.Job) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(attribute.String("hourglass.project", job.ProjectID), attribute.String("hourglass.state", string(job.State)))
	}
}

// showOutcome says what the queue is told. What costs no attempt is no error: the job waits.
func showOutcome(span trace.Span, err error) {
	word := "ok"
	var s *setback
	var d *dead
	switch {
	case errors.As(err, &d):
		word = "archived"
	case errors.As(err, &s):
		word = map[class]string{again: "waiting", throttled: "throttled", held: "held", transient: "retry"}[s.class]
	case err != nil:
		word = "error"
	}
	span.SetAttributes(attribute.String("hourglass.outcome", word))
	if err != nil && costsAttempt(err) {
		span.SetStatus(codes.Error, err.Error())
	}
}

// boughtIn adds the span that buys to the trace of a job, which nobody may have begun before.
func boughtIn(ctx context.Context, t tasks.Trace) tasks.Trace {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return t
	}
	own := tracing.Headers(ctx)
	t.Create = own["traceparent"]
	if t.Parent == "" {
		t.Parent, t.State = t.Create, own["tracestate"]
	}
	return t
}
