package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A demonstration is a demo that runs beside the test.
type demonstration struct {
	lines *bufio.Scanner
	stop  context.CancelFunc
	ended chan int // the exit code
	log   bytes.Buffer
}

func start(t *testing.T, args ...string) *demonstration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	d := &demonstration{lines: bufio.NewScanner(out), stop: cancel, ended: make(chan int, 1)}
	go func() {
		err := run(ctx, args, stdout, &d.log)
		_ = stdout.Close()
		d.ended <- exitCode(err, &d.log)
	}()
	t.Cleanup(func() { d.end() })
	return d
}

// end interrupts the demo and returns its exit code.
func (d *demonstration) end() int {
	d.stop()
	for d.lines.Scan() { // or it could not print its last words
	}
	code := <-d.ended
	d.ended <- code
	return code
}

// line returns the first group of the next line that matches.
func (d *demonstration) line(t *testing.T, pattern string) string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	for d.lines.Scan() {
		if found := want.FindStringSubmatch(d.lines.Text()); found != nil {
			return found[1]
		}
	}
	t.Fatalf("it ended without a line like %s: %s", pattern, &d.log)
	return ""
}

func TestKeep(t *testing.T) {
	t.Parallel()
	d := start(t, quickly(t.TempDir(), "--keep")...)
	d.line(t, `(Still running)`)
	dashboard := d.line(t, `^ +(http://127\.0\.0\.1:\d+)$`)
	redisURL := d.line(t, `REDIS_URL=(\S+) go run ./cmd/enqueue submit`)

	sizes := queues(t, dashboard)
	for _, stage := range tasks.Stages() {
		if sizes[stage.Queue()] == 0 {
			t.Errorf("the dashboard shows no tasks in %s: %v", stage.Queue(), sizes)
		}
	}

	if status := ask(t, dashboard+"/api/queues", "evil.example.com"); status != http.StatusForbidden {
		t.Errorf("the dashboard answers another name with %d, want 403", status)
	}

	rdb, err := records.Connect(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	defer rdb.Close()
	another := submitAndWait(t, rdb)
	if another.State != tasks.Done {
		t.Errorf("another job is %s: %+v", another.State, another.Error)
	}
	d.line(t, `(image-background-remover +done)`)
	if code := d.end(); code != 0 {
		t.Errorf("exit %d\n%s", code, &d.log)
	}
}

func submitAndWait(t *testing.T, rdb redis.UniversalClient) *tasks.Job {
	t.Helper()
	client := tasks.NewClient(rdb)
	job, err := client.Submit(t.Context(), tasks.Request{
		Operation: "image-background-remover", Body: []byte(`{"assets":{"image_file_path":"https://example.com/robot.png"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	job, err = client.Wait(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// ask asks by another name, and returns the status.
func ask(t *testing.T, url, host string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// queues returns the number of tasks in each queue, as the dashboard's pages are told.
func queues(t *testing.T, dashboard string) map[string]int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, dashboard+"/api/queues", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Queues []struct {
			Queue string
			Size  int
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	sizes := map[string]int{}
	for _, q := range answer.Queues {
		sizes[q.Queue] = q.Size
	}
	return sizes
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	d := start(t, quickly(t.TempDir())...)
	d.line(t, `(accepted)`)
	if code := d.end(); code != 130 {
		t.Errorf("exit %d, want 130\n%s", code, &d.log)
	}
}
