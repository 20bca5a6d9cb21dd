package front

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A site is a front on a free port, without tokens.
type site struct {
	addr  string
	stop  context.CancelFunc
	ended chan error
}

func open(t *testing.T) *site {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &site{addr: listener.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() {
		s.ended <- Serve(ctx, listener, Config{Redis: rdb, Client: tasks.NewClient(rdb), Files: storage.NewFiles(storage.Options{}), Log: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() { s.end(t) })
	return s
}

func (s *site) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case err := <-s.ended:
		s.ended <- err
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(drainFor + 5*time.Second):
		t.Error("it does not end")
	}
}

// dial opens a connection that is to be answered within a time.
func (s *site) dial(t *testing.T, within time.Duration) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestStrangers: what takes too long, or is too large or no HTTP, is ended, and everybody else is served.
func TestStrangers(t *testing.T) {
	t.Parallel()
	s := open(t)
	long := strings.Repeat("x", 2*longestHeader)
	tests := []struct {
		name, sends string
		within      time.Duration
		status      string // empty: the connection is closed without a word
	}{
		{"headers that never end", "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", headerWithin + 5*time.Second, ""},
		{"a body that never comes", "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", requestWithin + 5*time.Second, "400"},
		{"headers that are too large", "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Long: " + long + "\r\n\r\n", 5 * time.Second, "431"},
		{"a body that is too large", "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat(" ", 2_000_000), 10 * time.Second, "413"},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 5 * time.Second, "400"},
		{"two lengths", "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 5 * time.Second, "400"},
		{"another name, by a browser that was led here", "GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\n\r\n", 5 * time.Second, "403"},
		{"a page elsewhere", "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n", 5 * time.Second, "403"},
		{"another method", "BREW /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n", 5 * time.Second, "405"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t, tt.within)
			_, _ = io.WriteString(conn, tt.sends) // it may be cut off meanwhile
			line, err := bufio.NewReader(conn).ReadString('\n')
			if tt.status == "" && (line != "" || err == nil || strings.Contains(err.Error(), "timeout")) || tt.status != "" && !strings.Contains(line, " "+tt.status+" ") {
				t.Errorf("got %q, %v; want %q", line, err, tt.status)
			}
			other := s.dial(t, 5*time.Second)
			_, _ = io.WriteString(other, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if line, err := bufio.NewReader(other).ReadString('\n'); !strings.Contains(line, " 200 ") {
				t.Errorf("another caller: got %q, %v", line, err)
			}
		})
	}
}

// TestEnd: a stream of events does not keep the server from ending, and one address has the API, the pages and the probes.
func TestEnd(t *testing.T) {
	t.Parallel()
	s := open(t)
	for path, want := range map[string]string{"/v1/operations": "face-swap", "/": "No jobs here", "/livez": "ok", "/assets/page.css": "color-scheme"} {
		if body := s.get(t, path); !strings.Contains(body, want) {
			t.Errorf("%s: got %q", path, body)
		}
	}
	conn := s.dial(t, 20*time.Second)
	body := `{"id":"a","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"x"}}}`
	_, _ = fmt.Fprintf(conn, "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	_, _ = io.WriteString(conn, "GET /v1/jobs/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: job") {
		if strings.Contains(lines.Text(), " 500 ") {
			t.Fatal(lines.Text())
		}
	}
	began := time.Now()
	s.end(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func (s *site) get(t *testing.T, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
