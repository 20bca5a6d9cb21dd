package tracing

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// API makes a span of each request to the API at baseURL and to the media hosts that it names. A request is named by
// its route; of a URL the span holds the host alone, since those of media are signed. Nothing is added to the request:
// who traces a job is not told to others.
func API(baseURL string) func(http.RoundTripper) http.RoundTripper {
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil {
		base = &url.URL{} // the client refuses it, too
	}
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			parent := trace.SpanFromContext(req.Context())
			if !parent.IsRecording() {
				return next.RoundTrip(req)
			}
			route := routeOf(base, req)
			_, span := parent.TracerProvider().Tracer(Scope).Start(req.Context(), req.Method+" "+route, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
				attribute.String("http.request.method", req.Method), attribute.String("url.template", route), attribute.String("server.address", req.URL.Hostname())))
			resp, err := next.RoundTrip(req)
			if err != nil {
				lost(span, err)
				span.End()
				return resp, err
			}
			span.SetAttributes(attribute.Int("http.response.status_code", resp.StatusCode))
			if resp.StatusCode >= 400 {
				span.SetAttributes(attribute.String("error.type", strconv.Itoa(resp.StatusCode)))
				span.SetStatus(codes.Error, "")
			}
			resp.Body = &body{ReadCloser: resp.Body, span: span}
			return resp, nil
		})
	}
}

// lost marks a request without an answer. What it says may hold a URL, so the kind of the error has to do.
func lost(span trace.Span, err error) {
	span.SetAttributes(attribute.String("error.type", fmt.Sprintf("%T", err)))
	span.SetStatus(codes.Error, "")
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// routeOf is the path of a request to the API without the ids in it, or what is done at a media host.
func routeOf(base *url.URL, req *http.Request) string {
	path, isAPI := strings.CutPrefix(req.URL.Path, base.Path+"/v1/")
	if !isAPI || req.URL.Host != base.Host {
		return "media"
	}
	if kind, _, found := strings.Cut(path, "-projects/"); found {
		return "/v1/" + kind + "-projects/{id}"
	}
	return "/v1/" + path
}

// A body ends its span when it is read or closed.
type body struct {
	io.ReadCloser
	span trace.Span
	once sync.Once
	n    int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err != nil && err != io.EOF {
		lost(b.span, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.once.Do(func() {
		b.span.SetAttributes(attribute.Int64("http.response.body.size", b.n))
		b.span.End()
	})
	return err
}
