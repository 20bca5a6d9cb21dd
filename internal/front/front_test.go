package front

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/httpapi"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// hasty are limits that a test can wait for.
var hasty = limits{header: 300 * time.Millisecond, request: 600 * time.Millisecond, answer: time.Second, idle: 300 * time.Millisecond}

// A site is a front that serves at an address, with the tokens "acme" and "rival", or with none.
type site struct {
	t     *testing.T
	addr  string
	stop  func() error
	redis *miniredis.Miniredis
}

func newSite(t *testing.T, names ...string) *site {
	t.Helper()
	return newSiteWithin(t, hasty, names...)
}

func newSiteWithin(t *testing.T, within limits, names ...string) *site {
	t.Helper()
	records.Quiet()
	s := &site{t: t, redis: miniredis.RunT(t)}
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	log := slog.New(slog.DiscardHandler)
	var tokens *httpapi.Tokens
	if len(names) > 0 {
		path := filepath.Join(t.TempDir(), "tokens.json")
		for _, name := range names {
			if err := (httpapi.Caller{Name: name, Tenant: name, Scopes: httpapi.Scopes()}).Add(path, name); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if tokens, err = httpapi.OpenTokens(path, log); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serve(ctx, listener, Config{Redis: rdb, Client: tasks.NewClient(rdb), Tokens: tokens, Files: storage.NewFiles(storage.Options{}), Log: log}, within)
		_ = rdb.Close()
	}()
	s.stop = func() error {
		cancel()
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(10 * time.Second):
			return errors.New("it does not end")
		}
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// dial connects, and lets a test wait no longer than it must.
func (s *site) dial() net.Conn {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// say sends bytes as they are, and returns the answer and whether the server then hangs up.
func (s *site) say(text string) (status int, answer string, hangsUp bool) {
	s.t.Helper()
	conn := s.dial()
	go func() { _, _ = io.WriteString(conn, text) }() // the server may hang up before it has all
	all, err := io.ReadAll(conn)
	answer = string(all)
	if r, bad := http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), nil); bad == nil {
		status = r.StatusCode
		_ = r.Body.Close()
	}
	var slow net.Error
	return status, answer, !errors.As(err, &slow) || !slow.Timeout()
}

const post = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\nContent-Type: application/json\r\n"

// TestStrangers: what no honest caller sends costs a bounded time and a bounded memory, and the server goes on.
func TestStrangers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "acme")
	for _, tt := range []struct {
		name, text string
		status     int // 0: it hangs up without a word
	}{
		{"nothing at all", "", 0},
		{"half a request line", "GET /v1/jo", 400},
		{"headers that don't end", "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-A: ", 0},
		{"a body that does not come", post + "Content-Length: 100\r\n\r\n{", 400},
		{"a chunk that does not come", post + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", 400},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n", 400},
		{"no host", "GET /v1/jobs HTTP/1.1\r\n\r\n", 400},
		{"two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400},
		{"headers of 64 KiB", "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		{"a path of 64 KiB", "GET /v1/jobs/" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		{"a body of 2 MiB", post + "Connection: close\r\nContent-Length: 2097152\r\n\r\n" + `{"id":"` + strings.Repeat("x", 2<<20-7), 413},
		{"a body of 2 MiB in chunks", post + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + `{"id":"` + strings.Repeat("x", 2<<20-7) + "\r\n0\r\n\r\n", 413},
		{"JSON without a bottom", post + "Connection: close\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("[", 60000), 400},
		{"no token", "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 401},
		{"a made-up token", "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acmee\r\nConnection: close\r\n\r\n", 401},
		{"a token of another scheme", "GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Basic acme\r\nConnection: close\r\n\r\n", 401},
		{"a token as a query", "GET /v1/jobs?token=acme HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 401},
		{"another method", "BREW /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405},
		{"a tunnel", "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\nConnection: close\r\n\r\n", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, answer, hangsUp := s.say(tt.text)
			if status != tt.status || !hangsUp {
				t.Errorf("got %d, want %d; hangs up: %t\n%.300s", status, tt.status, hangsUp, answer)
			}
			if strings.Contains(answer, "Access-Control") {
				t.Errorf("lets other sites in: %s", answer)
			}
		})
	}
}

// TestWithoutTokens: who means this machine is answered, and no browser that a page from elsewhere has led here.
func TestWithoutTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, tt := range []struct {
		name, host, more string
		want             int // 404: it is answered, of a job that is not there
	}{
		{"an address", s.addr, "", 404},
		{"a name", "localhost:8424", "", 404},
		{"over IPv6", "[::1]:8424", "", 404},
		{"over IPv6, without a port", "[::1]", "", 404},
		{"another name that leads here", "evil.example", "Sec-Fetch-Site: same-origin\r\n", 403},
		{"a name that begins alike", "localhost.evil.example", "", 403},
		{"an address of the network", "192.168.0.7:8424", "", 403},
		{"a page elsewhere", "localhost", "Sec-Fetch-Site: cross-site\r\n", 403},
	} {
		status, answer, _ := s.say("POST /v1/jobs/a/cancel HTTP/1.1\r\nHost: " + tt.host + "\r\nConnection: close\r\n" + tt.more + "\r\n")
		if status != tt.want {
			t.Errorf("%s: got %d, want %d\n%.300s", tt.name, status, tt.want, answer)
		}
	}
	for path, want := range map[string]string{"/v1/operations": "face-swap", "/": "No jobs here", "/livez": "ok", "/assets/page.css": "color-scheme"} {
		if _, answer, _ := s.say("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, want) {
			t.Errorf("%s: got %.300s", path, answer)
		}
	}
}

// TestHealth: it lives without Redis, and is ready with it.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := newSiteWithin(t, usual, "acme")
	get := func(path string) int {
		status, _, _ := s.say("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		return status
	}
	if live, ready := get("/livez"), get("/readyz"); live != 200 || ready != 200 {
		t.Errorf("got %d and %d", live, ready)
	}
	s.redis.Close()
	if live, ready := get("/livez"), get("/readyz"); live != 200 || ready != 503 {
		t.Errorf("without Redis: got %d and %d", live, ready)
	}
}

// TestStop: a stream of events outlasts the limits of other requests, and ends when the server is stopped.
func TestStop(t *testing.T) {
	t.Parallel()
	s := newSite(t, "acme")
	body := `{"id":"a","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"x"}}}`
	if status, answer, _ := s.say(post + "Connection: close\r\nContent-Length: " + "86" + "\r\n\r\n" + body); status != 202 {
		t.Fatalf("got %d\n%s", status, answer)
	}
	conn := s.dial()
	if _, err := io.WriteString(conn, "GET /v1/jobs/a/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	began := time.Now()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data: ") {
	}
	<-time.After(hasty.answer + hasty.request) // longer than any of the limits
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for lines.Scan() {
	}
	if lines.Err() != nil || time.Since(began) < hasty.answer {
		t.Errorf("the stream ended after %v with %v", time.Since(began), lines.Err())
	}
}
