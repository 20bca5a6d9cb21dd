package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// apiKey is a marker: it must turn up in no log.
const apiKey = "mhk_live_canary"

// programs are built once for all tests of the package.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hourglass-e2e-")
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(context.Background(), "go", "build", "-race", "-o", dir, "../../cmd/worker", "../../cmd/enqueue", "../../cmd/fakehour") //nolint:gosec // our own programs
	out, err := build.CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	if runtime.GOMAXPROCS(0) < 3 { // tests wait more than they work; -parallel wins
		_ = flag.Set("test.parallel", "3")
	}
	code := m.Run()
	if dir, err := programs(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// A fleet is everything that a user of Hourglass runs.
type fleet struct {
	t         *testing.T
	bin       string
	redisURL  string
	s3        testservers.S3
	api       string // of fakehour
	env       []string
	rdb       redis.UniversalClient
	queue     *asynq.Client
	inspector *asynq.Inspector
	client    *tasks.Client
	logs      []*log
}

// newFleet starts Redis, an S3 server and fakehour. Workers are started by the test.
func newFleet(t *testing.T, fakehour ...string) *fleet {
	t.Helper()
	f := fleetAt(t, testservers.Redis(t))
	f.startFake(fakehour...)
	return f
}

// fleetAt starts an S3 server for a fleet whose Redis is there, and which has no API yet.
func fleetAt(t *testing.T, redisAddr string) *fleet {
	t.Helper()
	return fleetOn(t, "redis://"+redisAddr+"/0", redis.NewClient(&redis.Options{Addr: redisAddr}))
}

// fleetOn is fleetAt for a Redis of any sort. It closes rdb, which the test itself asks.
func fleetOn(t *testing.T, redisURL string, rdb redis.UniversalClient) *fleet {
	t.Helper()
	t.Cleanup(func() { _ = rdb.Close() })
	f := &fleet{t: t, s3: testservers.VersityGW(t, "media"), redisURL: redisURL}
	var err error
	if f.bin, err = programs(); err != nil {
		t.Fatal(err)
	}
	f.rdb, f.queue, f.inspector, f.client = rdb, asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb), tasks.NewClient(rdb)
	f.env = append(f.s3.Environ(),
		"REDIS_URL="+f.redisURL, "MAGIC_HOUR_API_KEY="+apiKey,
		"STORAGE_URL=s3://media/out", "HOURGLASS_HTTP_ADDR=127.0.0.1:0", "HOURGLASS_POLL_INTERVAL=1s", "HOURGLASS_LOG_FORMAT=json",
	)
	return f
}

// startFake starts fakehour, for this fleet.
func (f *fleet) startFake(args ...string) {
	f.t.Helper()
	fake := f.start("fakehour", append([]string{"--addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0", "--key", apiKey}, args...)...)
	var listening struct{ API, Media string }
	if err := json.Unmarshal([]byte(fake.firstLine()), &listening); err != nil {
		f.t.Fatal(err)
	}
	f.useAPI(listening.API)
}

func (f *fleet) useAPI(url string) {
	f.api = url
	f.env = append(f.env, "MAGIC_HOUR_BASE_URL="+url)
}

// A log is what a process writes, line by line.
type log struct {
	process *exec.Cmd
	exited  chan struct{} // closed when it has ended
	mu      sync.Mutex
	lines   []string
	more    chan struct{}
}

// start runs a program until the test ends.
func (f *fleet) start(program string, args ...string) *log {
	f.t.Helper()
	cmd := exec.CommandContext(context.Background(), filepath.Join(f.bin, program), args...) //nolint:gosec // our own programs
	cmd.Env = append(os.Environ(), f.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	l := &log{process: cmd, exited: make(chan struct{}), more: make(chan struct{}, 1)}
	f.logs = append(f.logs, l)
	read := make(chan struct{})
	go func() { l.read(r); close(read) }()
	go func() { _ = cmd.Wait(); close(l.exited) }() // the exit code says it
	f.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-l.exited
		_ = w.Close()
		<-read
		if f.t.Failed() && len(f.logs) < 10 { // of more than that nobody reads the ends
			f.t.Logf("%s wrote:\n%s", program, tail(l.text(), 4000))
		}
	})
	return l
}

// signal sends a signal to the process.
func (l *log) signal(s syscall.Signal) { _ = l.process.Process.Signal(s) } // it may have ended by itself

// ends waits for the end of the process.
func (l *log) ends(within time.Duration) bool {
	select {
	case <-l.exited:
		return true
	case <-time.After(within):
		return false
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func (l *log) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l.mu.Lock()
		l.lines = append(l.lines, lines.Text())
		l.mu.Unlock()
		select {
		case l.more <- struct{}{}:
		default:
		}
	}
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// find waits for a line that holds the text.
func (l *log) find(text string) string {
	for deadline := time.After(30 * time.Second); ; {
		l.mu.Lock()
		for _, line := range l.lines {
			if strings.Contains(line, text) {
				l.mu.Unlock()
				return line
			}
		}
		l.mu.Unlock()
		select {
		case <-l.more:
		case <-deadline:
			return ""
		}
	}
}

func (l *log) firstLine() string { return l.find("") }

// startWorker starts a worker and returns its log and the address of its health endpoint.
func (f *fleet) startWorker(env ...string) (*log, string) {
	f.t.Helper()
	before := f.env
	f.env = append(append([]string{}, before...), env...)
	l := f.start("worker")
	f.env = before
	var started struct{ Addr string }
	if err := json.Unmarshal([]byte(l.find(`"worker started"`)), &started); err != nil {
		f.t.Fatalf("the worker did not start: %v\n%s", err, l.text())
	}
	return l, "http://" + started.Addr
}

// enqueue runs the command line and returns what it printed and its exit code.
func (f *fleet) enqueue(args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	return f.run("enqueue", "", args...)
}

// pipe is enqueue with something on standard input.
func (f *fleet) pipe(stdin string, args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	return f.run("enqueue", stdin, args...)
}

// run runs a program to its end.
func (f *fleet) run(program, stdin string, args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	return f.runUntil(f.t.Context(), program, stdin, args...)
}

// runUntil is run for a program that may have no end.
func (f *fleet) runUntil(ctx context.Context, program, stdin string, args ...string) (stdout, stderr string, code int) {
	f.t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(f.bin, program), args...) //nolint:gosec // our own programs
	cmd.Env = append(os.Environ(), f.env...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	runErr := cmd.Run()
	var exit *exec.ExitError
	if runErr != nil && !errors.As(runErr, &exit) {
		f.t.Fatal(runErr)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// get reads JSON from the control of fakehour, or raw bytes if out is a *[]byte.
func (f *fleet) get(url string, out any) int {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.do(req, out)
}

// put and post steer fakehour.
func (f *fleet) put(path, body string)  { f.steer(http.MethodPut, path, body) }
func (f *fleet) post(path, body string) { f.steer(http.MethodPost, path, body) }

func (f *fleet) steer(method, path, body string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.api+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if status := f.do(req, nil); status > 299 {
		f.t.Fatalf("%s %s: %d", method, path, status)
	}
}

func (f *fleet) do(req *http.Request, out any) int {
	f.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	switch out := out.(type) {
	case nil:
	case *[]byte:
		*out = body
	default:
		if err := json.Unmarshal(body, out); err != nil {
			f.t.Fatalf("%s: %v: %s", req.URL, err, body)
		}
	}
	return resp.StatusCode
}

type totals struct{ Creates, Polls, Downloads, Uploads, Deletes, Violations, Throttled int }

func (f *fleet) totals() (t totals) {
	f.t.Helper()
	f.get(f.api+"/_fake/totals", &t)
	return t
}

// eventually waits for a condition.
func (f *fleet) eventually(what string, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// checkSecrets looks for the key and for signatures in everything that the processes wrote.
func (f *fleet) checkSecrets() {
	f.t.Helper()
	for _, l := range f.logs {
		for _, secret := range []string{apiKey, "X-Fake-Signature", f.s3.SecretKey} {
			if strings.Contains(l.text(), secret) {
				f.t.Errorf("%s shows a secret (%s)", filepath.Base(l.process.Path), secret)
			}
		}
	}
}
