package magichour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

const secretKey = "mhk_live_canary"

// client returns a client of an API that answers with the handler.
func client(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return clientAt(t, server.URL)
}

func clientAt(t *testing.T, baseURL string) *Client {
	t.Helper()
	c, err := New(baseURL, func() (string, error) { return secretKey, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, h := range []*http.Client{c.api, c.buy, c.media} {
			h.CloseIdleConnections()
		}
	})
	return c
}

func answers(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if name, value, found := strings.Cut(header, ": "); found {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func yes() error { return nil }

func video(t *testing.T) operations.Operation {
	t.Helper()
	op, known := operations.Lookup("text-to-video")
	if !known {
		t.Fatal("text-to-video is not in the catalogue")
	}
	return op
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    Error
	}{
		{"code and message", answers(402, "", `{"code":"insufficient_credits","message":"Payment required"}`), Error{Status: 402, Code: "insufficient_credits", Message: "Payment required"}},
		{"message alone", answers(404, "", `{"message":"Not Found"}`), Error{Status: 404, Message: "Not Found"}},
		{"a page of a proxy", answers(502, "", `<html>Bad gateway</html>`), Error{Status: 502, Message: "Bad Gateway"}},
		{"nothing", answers(503, "", ``), Error{Status: 503, Message: "Service Unavailable"}},
		{"seconds to wait", answers(429, "Retry-After: 7", `{}`), Error{Status: 429, Message: "Too Many Requests", RetryAfter: 7 * time.Second}},
		{"a redirect is not followed", answers(302, "Location: http://elsewhere.invalid/", ``), Error{Status: 302, Message: "Found"}},
		{"the key comes back", answers(400, "", `{"message":"bad header Bearer `+secretKey+`"}`), Error{Status: 400, Message: "bad header Bearer [redacted]"}},
		{"a password comes back", answers(422, "", `{"message":"can't fetch http://user:canary@host/x.mp4 or https:\\/\\/h\\/y.mp4?sig=canary"}`), Error{Status: 422, Message: "can't fetch http://host/x.mp4 or https:\\/\\/h\\/y.mp4?[redacted]"}},
		{"more seconds than anybody waits", answers(429, "Retry-After: 99999999999", `{}`), Error{Status: 429, Message: "Too Many Requests", RetryAfter: 15 * time.Minute}},
		{"a key at the end of a long text", answers(400, "", `{"message":"`+strings.Repeat("x", longestMessage-8)+secretKey+`"}`), Error{Status: 400, Message: strings.Repeat("x", longestMessage-8) + "[redacte…"}},
		{"a signed URL comes back", answers(422, "", `{"message":"can't fetch https://b.s3/x.mp4?X-Sig=canary now"}`), Error{Status: 422, Message: "can't fetch https://b.s3/x.mp4?[redacted] now"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, tt.handler).Project(t.Context(), operations.Video, "p/1")
			var got *Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			tt.want.Method, tt.want.Path = "GET", "/v1/video-projects/p%2F1"
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestProject(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+secretKey {
			t.Errorf("Authorization: got %q", got)
		}
		if r.URL.Path != "/mock/v1/image-projects/p1" {
			t.Errorf("path: got %s", r.URL.Path)
		}
		_, _ = io.WriteString(w, `{"id":"p1","name":null,"status":"complete","type":"AI_IMAGE","created_at":"2026-11-24T12:00:00.000Z","enabled":false,
			"credits_charged":5,"downloads":[{"url":"https://m/a%2Fb/output.png?sig=1","expires_at":"2026-11-25T12:00:00Z"}],"error":null,"new_field":1}`)
	})
	c.base = c.base.JoinPath("mock")
	p, err := c.Project(t.Context(), operations.Image, "p1")
	if err != nil {
		t.Fatal(err)
	}
	if !p.Deleted() || p.Status != StatusComplete || p.CreditsCharged != 5 || p.Downloads[0].Path() != "/a%2Fb/output.png" {
		t.Errorf("got %+v", p)
	}
}

func TestUnreadableAnswers(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"not JSON":           answers(200, "", `<html>`),
		"another project":    answers(200, "", `{"id":"p2","status":"complete"}`),
		"longer than a book": answers(200, "", `{"id":"`+strings.Repeat("x", maxAnswer)+`"}`),
		"cut short":          answers(200, "Content-Length: 100", `{"id":`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client(t, handler).Project(t.Context(), operations.Video, "p1")
			var lost *TransportError
			if !errors.As(err, &lost) {
				t.Errorf("got %v, want a *TransportError", err)
			}
		})
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"x":1}` || r.ContentLength != 7 || r.URL.Path != "/v1/text-to-video" {
			t.Errorf("got %s %s (%d bytes), %v", r.URL.Path, body, r.ContentLength, err)
		}
		_, _ = io.WriteString(w, `{"id":"p1","credits_charged":10,"estimated_frame_cost":10}`)
	})
	got, err := c.Create(t.Context(), video(t), []byte(`{"x":1}`), yes)
	if err != nil || got != (Created{ID: "p1", CreditsCharged: 10}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestCreateWritten holds what a purchase leans on: whether its request may have left.
func TestCreateWritten(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T) *Client {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		return clientAt(t, "http://"+l.Addr().String())
	}
	hangsUp := func(t *testing.T) *Client {
		return client(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}
	noTLS := func(t *testing.T) *Client {
		plain := httptest.NewServer(answers(200, "", `{}`))
		t.Cleanup(plain.Close)
		return clientAt(t, strings.Replace(plain.URL, "http:", "https:", 1))
	}
	unreadable := func(t *testing.T) *Client { return client(t, answers(200, "", `<html>`)) }
	noID := func(t *testing.T) *Client { return client(t, answers(200, "", `{}`)) }
	called := errors.New("called off")
	tests := []struct {
		name    string
		client  func(*testing.T) *Client
		ready   func() error
		written bool
	}{
		{"nobody listens", refused, yes, false},
		{"no TLS at the other end", noTLS, yes, false},
		{"called off at the last moment", hangsUp, func() error { return called }, false},
		{"the server hangs up", hangsUp, yes, true},
		{"an answer that is no JSON", unreadable, yes, true},
		{"an answer without an id", noID, yes, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.client(t).Create(t.Context(), video(t), []byte(`{"x":1}`), tt.ready)
			var lost *TransportError
			if !errors.As(err, &lost) || lost.Written != tt.written {
				t.Errorf("got %v (%+v), want Written %v", err, lost, tt.written)
			}
		})
	}
}

func TestCreateCalledOffReachesNobody(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	c := client(t, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	for range 3 {
		if _, err := c.Create(t.Context(), video(t), []byte(`{"x":1}`), func() error { return errors.New("called off") }); err == nil {
			t.Error("no error")
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d requests reached the API", n)
	}
}

func TestCreateIsOneAttempt(t *testing.T) {
	t.Parallel()
	var requests, asked atomic.Int32
	c := client(t, func(http.ResponseWriter, *http.Request) {
		requests.Add(1)
		panic(http.ErrAbortHandler)
	})
	_, err := c.Create(t.Context(), video(t), []byte(`{"x":1}`), func() error { asked.Add(1); return nil })
	if err == nil || requests.Load() != 1 || asked.Load() != 1 {
		t.Errorf("got %v after %d requests; asked %d times", err, requests.Load(), asked.Load())
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Accept-Encoding") != "" && r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("headers: %v", r.Header)
		}
		switch r.URL.Query().Get("sig") {
		case "expired":
			w.WriteHeader(http.StatusForbidden)
		case "page":
			_, _ = io.WriteString(w, "<html>we are back soon")
		case "empty":
			w.Header().Set("Content-Type", "video/mp4")
		case "cut":
			w.Header().Set("Content-Type", "video/mp4")
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "bytes")
		default:
			w.Header().Set("Content-Type", "video/mp4")
			_, _ = io.WriteString(w, "bytes")
		}
	})
	open := func(sig string) (*Media, error) {
		return c.Open(t.Context(), Download{URL: c.base.String() + "/v.mp4?sig=" + sig}, nil)
	}
	media, err := open("good")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(media.Body)
	if string(body) != "bytes" || err != nil || media.Size != 5 || media.ContentType != "video/mp4" {
		t.Errorf("got %s, %v, %+v", body, err, media)
	}
	if err := media.Body.Close(); err != nil {
		t.Error(err)
	}
	var answer *Error
	if _, err := open("expired"); !errors.Is(err, ErrRefused) || errors.As(err, &answer) || strings.Contains(err.Error(), "sig") {
		t.Errorf("expired URL: got %v, want ErrRefused, no *Error of the API, and no signature", err)
	}
	for _, no := range []string{"page", "empty"} {
		if media, err := open(no); err == nil {
			t.Errorf("%s: got %+v, want it refused", no, media)
		}
	}
	media, err = open("cut")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = media.Body.Close() }()
	if _, err := io.ReadAll(media.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut body: got %v, want io.ErrUnexpectedEOF", err)
	}
}

// TestNoSecretInErrors lets every kind of call fail in every way and looks for the key and for
// the signature of a URL.
func TestNoSecretInErrors(t *testing.T) {
	t.Parallel()
	servers := map[string]*Client{
		"refused":  clientAt(t, "http://127.0.0.1:1"),
		"hangs up": client(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"echoes": client(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			_, _ = fmt.Fprintf(w, `{"code":%q,"message":%q}`, r.Header.Get("Authorization"), "http://"+r.Host+r.URL.String()+" "+r.Header.Get("Authorization"))
		}),
		"echoes and succeeds": client(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
		}),
	}
	for name, c := range servers {
		_, create := c.Create(t.Context(), video(t), []byte(`{}`), yes)
		_, get := c.Project(t.Context(), operations.Audio, "p1")
		_, account := c.Account(t.Context())
		_, open := c.Open(t.Context(), Download{URL: c.base.String() + "/v.mp4?sig=canary"}, nil)
		for _, err := range []error{create, get, account, open, c.Delete(t.Context(), operations.Video, "p1")} {
			for _, text := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				if strings.Contains(text, "canary") {
					t.Errorf("%s: %s", name, text)
				}
			}
		}
	}
}

func TestContextEndsACall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Project(ctx, operations.Video, "p1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "api.magichour.ai", "ftp://host", "https://user:pw@host", "https://host?x=1", "https://"} {
		if _, err := New(bad, nil); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
