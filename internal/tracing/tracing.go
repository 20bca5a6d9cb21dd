// Package tracing sends OpenTelemetry traces, if it is told where to, over OTLP/HTTP.
//
// Only Open decides whether there are any: whatever else makes a span does so where its context already has one that
// is recorded. So without a setting nothing is made, and what belongs to no job, such as a probe, makes none either.
//
// Spans are as public as logs. They hold no URL, whose query may be signed, no header, no body, and no key of an
// object of a caller's.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Scope names what has made a span: the instrumentation scope of OpenTelemetry.
const Scope = "github.com/seed-290c2414/hourglass"

// A Sender sends the spans of a program. A nil one sends none.
type Sender struct{ provider *sdktrace.TracerProvider }

// Open returns what sends the traces of a program: nil unless OTEL_EXPORTER_OTLP_ENDPOINT, or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, says where to. The other OTEL_* variables are heeded as the OpenTelemetry SDK
// does; one that is wrong is an error that names it, and no value of it, since the headers hold secrets. Nothing is
// sent before the first span has ended; what can't be sent is logged, once a minute, and lost.
func Open(ctx context.Context, service, version string, log *slog.Logger) (*Sender, error) {
	if on, err := configured(); !on || err != nil {
		return nil, err
	}
	otel.SetLogger(logr.Logger{}) // the SDK's own would print the values of what it can't parse
	otel.SetErrorHandler(onceAMinute(log))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("send traces: %w", err)
	}
	// Without the detector of the process: its arguments may hold the password of Redis.
	what, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: want name=value pairs with commas between them")
	}
	return &Sender{sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(what))}, nil
}

// Tracer makes the spans that others stand below; nil if there are none to make.
func (s *Sender) Tracer() trace.Tracer {
	if s == nil {
		return nil
	}
	return s.provider.Tracer(Scope)
}

// flushWithin is how long the end of a program may wait for a collector.
const flushWithin = 5 * time.Second

// Close sends what is left, also after the end of ctx.
func (s *Sender) Close(ctx context.Context) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushWithin)
	defer cancel()
	if err := s.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}

// configured reports whether traces are to be sent, and checks what the SDK would pass over.
func configured() (bool, error) {
	first := func(variable string) (name, value string) {
		name = "OTEL_EXPORTER_OTLP_TRACES_" + variable
		if value = os.Getenv(name); value == "" {
			name = "OTEL_EXPORTER_OTLP_" + variable
			value = os.Getenv(name)
		}
		return name, value
	}
	name, endpoint := first("ENDPOINT")
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); {
	case endpoint == "", exporter == "none", strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"):
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q: want otlp or none", exporter)
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false, fmt.Errorf("%s: want the collector's URL, such as http://127.0.0.1:4318", name)
	}
	if name, protocol := first("PROTOCOL"); protocol != "" && protocol != "http/protobuf" && protocol != "http/json" {
		return false, fmt.Errorf("%s: %q: want http/protobuf or http/json, and the collector's port for it, mostly 4318", name, protocol)
	}
	name, headers := first("HEADERS")
	for pair := range strings.SplitSeq(headers, ",") {
		if key, value, found := strings.Cut(pair, "="); headers != "" && (!found || strings.TrimSpace(key) == "" || !unescapes(value)) {
			return false, fmt.Errorf("%s: want name=value pairs with commas between them, values percent-encoded", name)
		}
	}
	return true, nil
}

func unescapes(value string) bool {
	_, err := url.PathUnescape(value)
	return err == nil
}

// onceAMinute logs why spans are lost. It is the SDK's way to say so, again with every batch.
func onceAMinute(log *slog.Logger) otel.ErrorHandlerFunc {
	var mu sync.Mutex
	var last time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) >= time.Minute {
			last = now
			log.Warn("traces not sent", "reason", err)
		}
	}
}

// Headers returns the W3C headers of a context.
func Headers(ctx context.Context) map[string]string {
	headers := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, headers)
	return headers
}

// Below returns a context whose spans stand below the one that W3C headers name, if they name one.
func Below(ctx context.Context, headers map[string]string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(headers))
}

// Span returns the span that a traceparent names; one that is not valid if it names none.
func Span(ctx context.Context, traceparent string) trace.SpanContext {
	return trace.SpanContextFromContext(Below(trace.ContextWithSpanContext(ctx, trace.SpanContext{}), map[string]string{"traceparent": traceparent}))
}
