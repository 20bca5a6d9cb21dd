package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

var update = flag.Bool("update", false, "write what is made of the settings: the golden file of --help, and the table in the README")

func TestMain(m *testing.M) {
	records.Quiet()
	goleak.VerifyTestMain(m)
}

// clean gives a test an environment without settings of its own.
func clean(t *testing.T) {
	t.Helper()
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "HOURGLASS_") || strings.HasPrefix(name, "MAGIC_HOUR_") || strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "REDIS_URL") || name == "STORAGE_URL" {
			t.Setenv(name, "")
			_ = os.Unsetenv(name) // Setenv restores it
		}
	}
	t.Setenv("MAGIC_HOUR_API_KEY", "mhk_test")
	t.Setenv("STORAGE_URL", "file://"+t.TempDir())
	t.Setenv("HOURGLASS_HTTP_ADDR", "127.0.0.1:0")
}

func TestHelpIsGolden(t *testing.T) { //nolint:paralleltest // it changes the environment
	clean(t)
	_ = os.Unsetenv("STORAGE_URL")
	_ = os.Unsetenv("HOURGLASS_HTTP_ADDR")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"worker", "--help"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	help := strings.ReplaceAll(out.String(), settings.Version(), "VERSION")
	const path = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(path, []byte(help), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), help); diff != "" {
		t.Errorf("--help (-want +got):\n%s", diff)
	}
}

type wrongSetting struct {
	name     string
	variable string
	value    string
	args     []string
}

func TestWrongSettings(t *testing.T) {
	tests := []wrongSetting{
		{"no key", "MAGIC_HOUR_API_KEY", "", nil},
		{"unknown stage", "HOURGLASS_STAGES", "create,render", nil},
		{"no handlers", "HOURGLASS_POLL_CONCURRENCY", "0", nil},
		{"handlers that are no number", "HOURGLASS_CREATE_CONCURRENCY", "many", nil},
		{"half a handler", "HOURGLASS_DOWNLOAD_CONCURRENCY", "0.5", nil},
		{"handlers below none", "HOURGLASS_CLEANUP_CONCURRENCY", "-1", nil},
		{"no handlers that tell", "HOURGLASS_NOTIFY_CONCURRENCY", "0", nil},
		{"a URL where networks belong", "HOURGLASS_CALLBACK_ALLOW", "http://10.0.0.1/", nil},
		{"a secret for callbacks that is too short", "HOURGLASS_CALLBACK_SECRET", "whsec_Y2FuYXJ5", nil},
		{"neither true nor false", "S3_PATH_STYLE", "maybe", nil},
		{"no duration", "HOURGLASS_DRAIN", "soon", nil},
		{"negative duration", "HOURGLASS_POLL_INTERVAL", "-1s", nil},
		{"a delay without a unit", "HOURGLASS_POLL_DELAY", "3", nil},
		{"more delay than rendering", "HOURGLASS_POLL_DELAY", "200%", nil},
		{"records that nobody can read", "HOURGLASS_RECORD_TTL", "0s", nil},
		{"a day without a unit", "HOURGLASS_TASK_RETENTION", "24", nil},
		{"giving up at once", "HOURGLASS_GIVE_UP", "1s", nil},
		{"a bucket as a URL", "HOURGLASS_INPUT_BUCKETS", "uploads,s3://archive", nil},
		{"a folder of a bucket", "HOURGLASS_INPUT_BUCKETS", "uploads/today", nil},
		{"an empty name among buckets", "HOURGLASS_INPUT_BUCKETS", "uploads,,archive", nil},
		{"memory for less than two parts", "HOURGLASS_COPY_MEMORY", "15MiB", nil},
		{"memory without a number", "HOURGLASS_COPY_MEMORY", "MiB", nil},
		{"memory in units of disks", "HOURGLASS_COPY_MEMORY", "256MB", nil},
		{"a rate below none", "HOURGLASS_API_RATE", "-1", nil},
		{"a rate that is none", "HOURGLASS_API_RATE", "NaN", nil},
		{"renders below none", "HOURGLASS_MAX_RENDERS", "-1", nil},
		{"webhooks of no age", "HOURGLASS_WEBHOOK_TOLERANCE", "0s", nil},
		{"an empty secret among others", "MAGIC_HOUR_WEBHOOK_SECRET", "whsec_canary,,whsec_b", nil},
		{"a webhook secret that is not there", "MAGIC_HOUR_WEBHOOK_SECRET_FILE", "/nowhere/secret", nil},
		{"log format", "HOURGLASS_LOG_FORMAT", "xml", nil},
		{"log level", "HOURGLASS_LOG_LEVEL", "loud", nil},
		{"Redis", "REDIS_URL", "http://:canary@host", nil},
		{"API", "MAGIC_HOUR_BASE_URL", "ftp://host", nil},
		{"store", "STORAGE_URL", "gs://bucket", nil},
		{"an address without a port", "HOURGLASS_HTTP_ADDR", "localhost", nil},
		{"webhooks without a secret", "HOURGLASS_WEBHOOK_ADDR", ":8423", nil},
		{"neither true nor false, for profiles", "HOURGLASS_PPROF", "maybe", nil},
		{"a port that is none", "HOURGLASS_HTTP_ADDR", ":99999", nil},
		{"a key of two lines", "MAGIC_HOUR_API_KEY", "mhk_\ncanary", nil},
		{"a file that is not there", "REDIS_URL_FILE", "/nowhere/redis-url", nil},
		{"a flag wins over its variable", "HOURGLASS_STAGES", "create", []string{"--stages", "render"}},
	}
	for _, f := range flags() {
		variable := f.(interface{ GetEnvVars() []string }).GetEnvVars()[0]
		if !slices.ContainsFunc(tests, func(tt wrongSetting) bool { return tt.variable == variable }) {
			t.Errorf("%s is never wrong", variable)
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clean(t)
			t.Setenv(tt.variable, tt.value)
			t.Setenv("HOURGLASS_DRAIN", os.Getenv("HOURGLASS_DRAIN")) // empty is not set
			err := run(t.Context(), append([]string{"worker"}, tt.args...), io.Discard, io.Discard)
			if code := exitCode(err, io.Discard); code != 2 || !strings.Contains(err.Error(), tt.variable) || strings.Contains(err.Error(), "canary") {
				t.Errorf("exit %d: %v; want 2, naming %s", code, err, tt.variable)
			}
		})
	}
	for _, args := range [][]string{{"worker", "now"}, {"worker", "--nonsense"}, {"worker", "--drain"}} {
		clean(t)
		if err := run(t.Context(), args, io.Discard, io.Discard); exitCode(err, io.Discard) != 2 {
			t.Errorf("%q: got %v, want exit 2", args, err)
		}
	}
}

func TestKeyFromAFile(t *testing.T) {
	clean(t)
	t.Setenv("MAGIC_HOUR_API_KEY", "")
	path := filepath.Join(t.TempDir(), "key")
	t.Setenv("MAGIC_HOUR_API_KEY_FILE", path)
	if err := run(t.Context(), []string{"worker"}, io.Discard, io.Discard); exitCode(err, io.Discard) != 2 || !strings.Contains(err.Error(), path) {
		t.Errorf("file that is not there: got %v", err)
	}
	if err := os.WriteFile(path, []byte("mhk_test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, []string{"worker"}, io.Discard, io.Discard); err != nil {
		t.Errorf("got %v", err)
	}
}

// lines is a log that can be waited for.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func (l lines) find(t *testing.T, text string) string {
	t.Helper()
	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return line
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no line with %q", text)
		}
	}
}

// TestReadiness: a worker whose Redis is not there yet stays up, and says what it lacks: that alone,
// and without the key.
func TestReadiness(t *testing.T) {
	clean(t)
	fake := magichourtest.New(magichourtest.Options{})
	if err := fake.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	t.Setenv("MAGIC_HOUR_BASE_URL", fake.URL())
	t.Setenv("HOURGLASS_LOG_FORMAT", "json")
	t.Setenv("HOURGLASS_DRAIN", "1s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	t.Setenv("REDIS_URL", "redis://"+l.Addr().String())
	if status, said := worker(t); status != http.StatusServiceUnavailable || said["redis"] == "ok" || !strings.HasPrefix(said["store"], "ok: every copy is read back") || said["api"] != "ok" {
		t.Errorf("/readyz without Redis: %d %v", status, said)
	}
	t.Setenv("REDIS_URL", "redis://"+testservers.Redis(t))
	if status, said := worker(t); status != http.StatusOK || !maps.Equal(said, map[string]string{"status": "ok", "redis": "ok", "store": "ok: " + string(storage.ReadLocal), "api": "ok"}) {
		t.Errorf("/readyz with Redis: %d %v", status, said)
	}
	fake.RevokeKey(true)
	if status, said := worker(t); status != http.StatusServiceUnavailable || !strings.Contains(said["api"], "401") || strings.Contains(said["api"], "mhk_test") || said["redis"] != "ok" || !strings.HasPrefix(said["store"], "ok: ") {
		t.Errorf("/readyz with a key that is rejected: %d %v", status, said)
	}
}

// TestPartIsBelieved: a good answer holds for a while, and a bad one not at all.
func TestPartIsBelieved(t *testing.T) {
	t.Parallel()
	asked := 0
	var answer error
	p := &part{limit: time.Minute, believe: time.Hour, ask: func(context.Context) (string, error) { asked++; return "well", answer }}
	for i, want := range []struct {
		answer error
		asked  int
	}{{io.EOF, 1}, {io.EOF, 2}, {nil, 3}, {io.EOF, 3}} {
		answer = want.answer
		if _, err := p.check(t.Context()); asked != want.asked || asked > i && !errors.Is(err, answer) {
			t.Errorf("question %d: got %v after %d answers, want %d", i+1, err, asked, want.asked)
		}
	}
}

// worker runs one, asks for its health, and lets it drain.
func worker(t *testing.T) (int, map[string]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log, ended := make(lines, 1000), make(chan error, 1)
	go func() { ended <- run(ctx, []string{"worker"}, io.Discard, log) }()
	var started struct{ Addr string }
	if err := json.Unmarshal([]byte(log.find(t, "worker started")), &started); err != nil {
		t.Fatal(err)
	}
	if err := run(ctx, []string{"worker", "--http-addr", started.Addr}, io.Discard, io.Discard); exitCode(err, io.Discard) != 1 || !strings.Contains(err.Error(), "HOURGLASS_HTTP_ADDR") {
		t.Errorf("an address that is taken: got %v", err)
	}
	if status, said := ask(t, "http://"+started.Addr+"/livez"); status != http.StatusOK || said["status"] != "ok" {
		t.Errorf("/livez: %d %v", status, said)
	}
	log.find(t, string(storage.ReadLocal))
	status, said := ask(t, "http://"+started.Addr+"/readyz")
	checkHealthcheck(t, started.Addr, status, said)
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the worker ended with %v", err)
	}
	return status, said
}

// TestWebhookAddr: events come to the address that is theirs, and to no other.
func TestWebhookAddr(t *testing.T) {
	clean(t)
	t.Setenv("HOURGLASS_LOG_FORMAT", "json")
	t.Setenv("HOURGLASS_DRAIN", "1s")
	t.Setenv("REDIS_URL", "redis://"+testservers.Redis(t))
	t.Setenv("MAGIC_HOUR_WEBHOOK_SECRET", "whsec_test")
	t.Setenv("HOURGLASS_WEBHOOK_ADDR", "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	log, ended := make(lines, 1000), make(chan error, 1)
	go func() { ended <- run(ctx, []string{"worker"}, io.Discard, log) }()
	var started struct {
		Addr        string
		WebhookAddr string `json:"webhook_addr"`
	}
	if err := json.Unmarshal([]byte(log.find(t, "worker started")), &started); err != nil {
		t.Fatal(err)
	}
	const event, metrics = "POST /webhooks/magichour", "GET /metrics"
	for _, tt := range []struct {
		request, addr string
		want          int
	}{
		{event, started.WebhookAddr, http.StatusUnauthorized}, {metrics, started.WebhookAddr, http.StatusNotFound},
		{event, started.Addr, http.StatusNotFound}, {metrics, started.Addr, http.StatusOK},
	} {
		if got := status(t, tt.request, tt.addr); got != tt.want {
			t.Errorf("%s at %s: got %d, want %d", tt.request, tt.addr, got, tt.want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("the worker ended with %v", err)
	}
}

// checkHealthcheck: the subcommand says what /readyz says, by its words and by its exit code.
func checkHealthcheck(t *testing.T, addr string, status int, ready map[string]string) {
	t.Helper()
	var out, stderr bytes.Buffer
	err := run(t.Context(), []string{"worker", "healthcheck", "--http-addr", addr}, &out, io.Discard)
	if code := exitCode(err, &stderr); (code == 0) != (status == http.StatusOK) || code > 1 {
		t.Errorf("healthcheck: exit %d, and /readyz answers %d", code, status)
	}
	for part, says := range ready {
		if part != "status" && says != "ok" && strings.HasPrefix(says, "ok") && !strings.Contains(out.String()+stderr.String(), part+": "+says) {
			t.Errorf("healthcheck does not say that %s is %q: %s%s", part, says, &out, &stderr)
		}
	}
	if err := run(t.Context(), []string{"worker", "healthcheck", "--live", "--http-addr", addr}, &out, io.Discard); err != nil {
		t.Errorf("healthcheck --live: %v", err)
	}
}

func ask(t *testing.T, url string) (int, map[string]string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var said map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, said
}
