package main

import (
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

func TestTimeLeft(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		left time.Duration
		want string
	}{
		{-time.Minute, "ready at any moment"},
		{0, "ready at any moment"},
		{40*time.Second + time.Millisecond, "about 41s left"},
		{100 * time.Second, "about 2m left"},
		{61 * time.Minute, "about 1h1m left"},
	} {
		if got := timeLeft(tt.left); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.left, got, tt.want)
		}
	}
}

// TestProgress: whoever waits is told of the job that takes longest, and of nothing while none renders.
func TestProgress(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var p progress
	p.see(&tasks.Job{Status: tasks.Status{ID: "a", State: tasks.Pending}})
	if got := p.say(now); got != "" {
		t.Errorf("nothing renders: got %q", got)
	}
	for id, left := range map[string]time.Duration{"b": 10 * time.Second, "c": 5 * time.Minute} {
		eta := now.Add(left)
		p.see(&tasks.Job{Status: tasks.Status{ID: id, State: tasks.Rendering, ETA: &eta}})
	}
	if got, want := p.say(now), "2 jobs rendering: about 5m left; 1 before or after that"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.forget("c")
	if got, want := p.say(now), "1 job rendering: about 11s left; 1 before or after that"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
