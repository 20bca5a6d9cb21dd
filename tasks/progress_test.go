package tasks

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(d time.Duration) *time.Time { t := now.Add(d); return &t }
	tests := []struct {
		name string
		job  Job
		want int
	}{
		{"waiting", Job{Status: Status{State: Pending}}, 0},
		{"just created", Job{Status: Status{State: Rendering}, ProjectAt: at(0)}, 5},
		{"half-way", Job{Status: Status{State: Rendering, ETA: at(time.Minute)}, ProjectAt: at(-time.Minute)}, 45},
		{"overdue", Job{Status: Status{State: Rendering, ETA: at(-time.Minute)}, ProjectAt: at(-2 * time.Minute)}, 83},
		{"an estimate before the project", Job{Status: Status{State: Rendering, ETA: at(-time.Hour)}, ProjectAt: at(0)}, 5},
		{"done", Job{Status: Status{State: Done}}, 100},
	}
	for _, tt := range tests {
		if got := tt.job.Progress(now); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
