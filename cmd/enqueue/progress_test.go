package main

import (
	"strings"
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

// TestProgress: whoever waits for many is told how many are where, and when the last that renders is expected.
func TestProgress(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	p := newProgress([]string{"a", "b", "c", "d"}, now)
	if got, want := p.counts(now), "4 jobs"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.see(&tasks.Job{Status: tasks.Status{ID: "a", State: tasks.Pending}}, now)
	for id, left := range map[string]time.Duration{"b": 10 * time.Second, "c": 5 * time.Minute} {
		eta := now.Add(left)
		p.see(&tasks.Job{Status: tasks.Status{ID: id, State: tasks.Rendering, ETA: &eta}}, now)
	}
	if got, want := p.counts(now), "4 jobs: 1 pending, 2 rendering; renders about 5m left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.settle("c", &tasks.Job{Status: tasks.Status{ID: "c", State: tasks.Done}}, now)
	if got, want := p.counts(now), "4 jobs: 1 pending, 1 rendering, 1 done; renders about 11s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNews: a job that stands where it stood is no news.
func TestNews(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := newProgress([]string{"a"}, now)
	for _, tt := range []struct {
		name   string
		status tasks.Status
		news   bool
	}{
		{"seen first", tasks.Status{State: tasks.Rendering}, true},
		{"another poll", tasks.Status{State: tasks.Rendering, Polls: 2}, false},
		{"held", tasks.Status{State: tasks.Rendering, Hold: &tasks.Hold{}}, true},
		{"still held", tasks.Status{State: tasks.Rendering, Hold: &tasks.Hold{}}, false},
		{"held no more", tasks.Status{State: tasks.Rendering}, true},
		{"another state", tasks.Status{State: tasks.Storing}, true},
	} {
		tt.status.ID = "a"
		if got := p.see(&tasks.Job{Status: tt.status}, now); got != tt.news {
			t.Errorf("%s: news is %v", tt.name, got)
		}
	}
}

// TestSilence: that Redis does not answer is said once, and that it does again; not when nobody waits any more.
func TestSilence(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	p := newProgress([]string{"a"}, at)
	job := &tasks.Job{Status: tasks.Status{ID: "a", State: tasks.Rendering}}
	after := func(d time.Duration) string { return p.silence(at.Add(d)) }
	if got := after(4 * time.Second); got != "" {
		t.Errorf("after 4 s: %q", got)
	}
	if got := after(6 * time.Second); !strings.HasPrefix(got, "Redis does not answer since 12:00:00; still trying") {
		t.Errorf("after 6 s: %q", got)
	}
	if got := after(7 * time.Second); got != "" {
		t.Errorf("again: %q", got)
	}
	p.see(job, at.Add(8*time.Second))
	if got := after(8 * time.Second); got != "Redis answers again" {
		t.Errorf("it answers: %q", got)
	}
	p.settle("a", job, at.Add(9*time.Second))
	if got := after(time.Hour); got != "" {
		t.Errorf("nobody waits: %q", got)
	}
}
