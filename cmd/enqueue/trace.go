package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/tracing"
)

// traced lets a command hand its trace on: below the span that TRACEPARENT names, as is the custom for programs that
// others start, and in one of its own if traces are sent.
func traced(ctx context.Context, name string, stderr io.Writer, do func(context.Context) error) error {
	ctx = tracing.Below(ctx, map[string]string{"traceparent": os.Getenv("TRACEPARENT"), "tracestate": os.Getenv("TRACESTATE")})
	sender, err := tracing.Open(ctx, "hourglass-enqueue", settings.Version(), slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return settings.Usage("%w", err)
	}
	tracer := sender.Tracer()
	if tracer == nil {
		return do(ctx)
	}
	defer sender.Close(ctx)
	ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindProducer))
	defer span.End()
	err = do(ctx)
	if err != nil {
		span.SetStatus(codes.Error, "") // what it says may quote what the caller gave
	}
	return err
}
