package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A said is what was said so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestWaitThroughADisconnect: a Redis that is killed and comes back with what it had does not end the wait. What goes on is
// said once.
func TestWaitThroughADisconnect(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	if _, told, code := enqueue(t, server.URL(), "", "text-to-video", "--id", "a", "--end_seconds", "5", "--style.prompt", "x"); code != 0 {
		t.Fatal(told)
	}
	var stdout, stderr said
	ended := make(chan int, 1)
	go func() {
		err := run(t.Context(), []string{"enqueue", "--redis-url", server.URL(), "wait", "a"}, strings.NewReader(""), &stdout, &stderr)
		ended <- exitCode(err, &stderr)
	}()
	hears := func(text string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for end := time.After(30 * time.Second); !strings.Contains(stderr.String(), text); {
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("not within 30 s: %s\n%s", text, stderr.String())
			}
		}
	}
	hears("a\tpending")
	server.Kill()
	hears("Redis does not answer since")
	server.Restart()
	hears("Redis answers again")
	stand(t, server.URL(), "a", func(job *tasks.Job) { job.State = tasks.Done })
	if code := <-ended; code != 0 || stdout.String() != "a\ttext-to-video\tdone\n" || strings.Count(stderr.String(), "does not answer") != 1 {
		t.Errorf("exit %d, %s%s", code, stdout.String(), stderr.String())
	}
}
