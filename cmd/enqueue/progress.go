package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// progress is what is known of jobs that somebody waits for.
type progress struct {
	mu   sync.Mutex
	jobs map[string]*tasks.Job
}

func (p *progress) see(job *tasks.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.jobs == nil {
		p.jobs = map[string]*tasks.Job{}
	}
	p.jobs[job.ID] = job
}

func (p *progress) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.jobs, id)
}

// say is how it goes, in a line: how many jobs are rendering, and when the last of them is expected. It is empty
// while none is.
func (p *progress) say(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	rendering := 0
	var last time.Time
	for _, job := range p.jobs {
		if job.ETA == nil {
			continue
		}
		rendering++
		if job.ETA.After(last) {
			last = *job.ETA
		}
	}
	if rendering == 0 {
		return ""
	}
	line := fmt.Sprintf("%s rendering: %s", plural(rendering, "job"), timeLeft(last.Sub(now)))
	if rest := len(p.jobs) - rendering; rest > 0 {
		line += fmt.Sprintf("; %d before or after that", rest)
	}
	return line
}

const tellEvery = 10 * time.Second

// tell says how it goes every ten seconds, if there is something new, until it is stopped.
func (p *progress) tell(ctx context.Context, w io.Writer) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		said := ""
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if line := p.say(time.Now()); line != "" && line != said {
					said = line
					_, _ = fmt.Fprintln(w, line)
				}
			}
		}
	})
	return func() { cancel(); told.Wait() }
}
