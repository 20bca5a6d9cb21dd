package dashboard

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDashboard: the pages, the data and the commands of Asynqmon, behind the door.
func TestDashboard(t *testing.T) {
	t.Parallel()
	redisServer := miniredis.RunT(t)
	connect := func() redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: redisServer.Addr()}) }
	queue := asynq.NewClientFromRedisClient(connect())
	defer func() { _ = queue.Close() }()
	if _, err := queue.Enqueue(asynq.NewTask("hourglass:create", []byte(`{"u":"https://host/a?canary"}`)), asynq.TaskID("j1:create"), asynq.Queue("q")); err != nil {
		t.Fatal(err)
	}
	login := &Login{User: "ops", Password: func() (string, error) { return "correct horse", nil }}
	tests := []struct {
		name, method, path string
		password           string
		writable           bool
		want               int
		says               string
	}{
		{"the page", "GET", "/", "correct horse", false, 200, "<title>Asynq - Monitoring</title>"},
		{"without password", "GET", "/", "", false, 401, "user and password"},
		{"a queue's page without password", "GET", "/queues/q", "", false, 401, "user and password"},
		{"data without password", "GET", "/api/queues", "", false, 401, "user and password"},
		{"a task", "GET", "/api/queues/q/tasks/j1:create", "correct horse", false, 200, `https://host/a?[redacted]`},
		{"the tasks that wait", "GET", "/api/queues/q/pending_tasks", "correct horse", false, 200, `https://host/a?[redacted]`},
		{"a command, read-only", "POST", "/api/queues/q:pause", "correct horse", false, 405, "read-only"},
		{"a command, writable", "POST", "/api/queues/q:pause", "correct horse", true, 204, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			d := Serve(listener, Options{Connect: connect, Login: login, Writable: tt.writable})
			defer d.Close()
			r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+listener.Addr().String()+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", "http://"+listener.Addr().String())
			if tt.password != "" {
				r.SetBasicAuth("ops", tt.password)
			}
			answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.want || !strings.Contains(string(body), tt.says) || strings.Contains(string(body), "canary") {
				t.Errorf("got %s: %s; want %d with %q", answer.Status, body, tt.want, tt.says)
			}
			for name := range answer.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("pages of other origins are let in: %s", name)
				}
			}
			if answer.Header.Get("X-Frame-Options") != "DENY" || answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers: %v", answer.Header)
			}
		})
	}
}

// TestServedNoMore: who waits for the dashboard learns that it is gone.
func TestServedNoMore(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := Serve(listener, Options{Connect: func() redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) }})
	defer d.Close()
	_ = listener.Close()
	if err := d.Wait(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
