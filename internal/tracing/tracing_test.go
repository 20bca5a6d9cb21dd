package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// marker is a secret of the tests: no span may hold it.
const marker = "canary"

// recorded is a context within a span, and what was made below it.
func recorded(t *testing.T) (context.Context, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	ctx, span := provider.Tracer("test").Start(t.Context(), "job")
	t.Cleanup(func() { span.End() })
	return ctx, spans
}

// told is what spans say: their names, and whether they are errors.
func told(t *testing.T, spans *tracetest.InMemoryExporter) []string {
	t.Helper()
	var all []string
	for _, s := range spans.GetSpans() {
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, marker) {
			t.Errorf("a span holds a secret: %s", text)
		}
		all = append(all, strings.TrimSpace(s.Name+" "+map[codes.Code]string{codes.Error: "failed"}[s.Status.Code]))
	}
	return all
}

func answering(status int) http.RoundTripper {
	return roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"X": {marker}}, Body: io.NopCloser(strings.NewReader(marker))}, nil
	})
}

func request(ctx context.Context, t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(marker))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+marker)
	return req
}

// TestAPI: a request is named by its route, and nothing of its URL, headers and bodies is told.
func TestAPI(t *testing.T) {
	t.Parallel()
	refusing := roundTripper(func(r *http.Request) (*http.Response, error) { return nil, errors.New("dial " + r.URL.String()) })
	tests := []struct {
		method, url string
		next        http.RoundTripper
		want        string
	}{
		{"GET", "https://api.test/base/v1/video-projects/" + marker, answering(200), "GET /v1/video-projects/{id}"},
		{"DELETE", "https://api.test/base/v1/image-projects/" + marker, answering(404), "DELETE /v1/image-projects/{id} failed"},
		{"POST", "https://api.test/base/v1/text-to-video", answering(200), "POST /v1/text-to-video"},
		{"GET", "https://api.test/base/v1/account", answering(401), "GET /v1/account failed"},
		{"GET", "https://media.test/v1/" + marker + "/output.mp4?signature=" + marker, answering(206), "GET media"},
		{"PUT", "https://media.test/" + marker + "?signature=" + marker, refusing, "PUT media failed"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			ctx, spans := recorded(t)
			var sent http.Header
			wire := API("https://api.test/base/")(roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r.Header
				return tt.next.RoundTrip(r)
			}))
			resp, err := wire.RoundTrip(request(ctx, t, tt.method, tt.url))
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				if got := told(t, spans); got != nil {
					t.Errorf("the span ends before the body: %q", got)
				}
				resp.Body.Close()
				resp.Body.Close()
			}
			if diff := cmp.Diff([]string{tt.want}, told(t, spans)); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
			if len(sent) != 1 {
				t.Errorf("others are told of the trace: %v", sent)
			}
		})
	}
}

// TestS3: each call is a span. That nothing is in the way of a copy is no error.
func TestS3(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case http.MethodDelete:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(server.Close)
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"), config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(marker, marker, marker)), S3())
	if err != nil {
		t.Fatal(err)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &server.URL, true })
	ctx, spans := recorded(t)
	for _, ctx := range []context.Context{t.Context(), ctx} { // the first one is within no span
		_, _ = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String(marker), Body: strings.NewReader(marker)})
		_, _ = client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("media"), Key: aws.String(marker)})
		_, _ = client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("media"), Key: aws.String(marker)})
	}
	if diff := cmp.Diff([]string{"S3/PutObject", "S3/HeadObject", "S3/DeleteObject failed"}, told(t, spans)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}

// TestNothingIsFree: where nobody records, a request costs no allocation more, and a line of a log says no more.
func TestNothingIsFree(t *testing.T) { //nolint:paralleltest // it counts allocations
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	plain := roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
	wire := API("https://api.test")(plain)
	req := request(t.Context(), t, http.MethodGet, "https://api.test/v1/account")
	if n := testing.AllocsPerRun(100, func() { _, _ = wire.RoundTrip(req) }); n != 0 { //nolint:bodyclose // there is none
		t.Errorf("%v allocations", n)
	}
	if sender, err := Open(t.Context(), "test", "v0", slog.New(slog.DiscardHandler)); sender != nil || sender.Tracer() != nil || err != nil {
		t.Errorf("traces are sent though nobody said where to: %v", err)
	}
	var log bytes.Buffer
	slog.New(Logs(slog.NewTextHandler(&log, nil))).InfoContext(t.Context(), "done")
	if strings.Contains(log.String(), "trace") {
		t.Errorf("got %s", log.String())
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	ctx, _ := recorded(t)
	var log bytes.Buffer
	slog.New(Logs(slog.NewJSONHandler(&log, nil))).With("queue", "poll").InfoContext(ctx, "done", "job", "j1")
	var line map[string]string
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	span := trace.SpanContextFromContext(ctx)
	if line["trace_id"] != span.TraceID().String() || line["span_id"] != span.SpanID().String() || line["queue"] != "poll" || line["job"] != "j1" {
		t.Errorf("got %s", log.String())
	}
}

// TestSettings: what the SDK would pass over, or print, is refused by the name of its variable.
func TestSettings(t *testing.T) {
	tests := []struct {
		name  string
		env   map[string]string
		on    bool
		names string // of the variable that is wrong
	}{
		{"nothing", nil, false, ""},
		{"a collector", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, true, ""},
		{"one for traces", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20canary,x=y"}, true, ""},
		{"the SDK is off", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, false, ""},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{"another exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "zipkin"}, false, "OTEL_TRACES_EXPORTER"},
		{"no URL", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "user:canary@collector:4317"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT"},
		{"gRPC", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, "OTEL_EXPORTER_OTLP_PROTOCOL"},
		{"a header without a name", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS": "Bearer canary"}, false, "OTEL_EXPORTER_OTLP_HEADERS"},
		{"a header that is not encoded", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x=100% canary"}, false, "OTEL_EXPORTER_OTLP_TRACES_HEADERS"},
		{"attributes without values", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_RESOURCE_ATTRIBUTES": "canary"}, false, "OTEL_RESOURCE_ATTRIBUTES"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			sender, err := Open(t.Context(), "test", "v0", slog.New(slog.DiscardHandler))
			if (sender != nil) != tt.on || (err != nil) != (tt.names != "") {
				t.Fatalf("on: %v, %v", sender != nil, err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), tt.names+": ") || strings.Contains(err.Error(), marker)) {
				t.Errorf("got %v, want it to name %s, and no value", err, tt.names)
			}
			sender.Close(t.Context())
		})
	}
}
