package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// progress is what is known of jobs that somebody waits for.
type progress struct {
	ids []string // all of them

	mu      sync.Mutex
	jobs    map[string]*tasks.Job // as they were last seen
	settled map[string]bool       // nobody waits for these any more
	heard   time.Time             // when Redis last told of any
	silent  bool                  // whether it was said that it does not
}

func newProgress(ids []string, now time.Time) *progress {
	return &progress{ids: ids, jobs: map[string]*tasks.Job{}, settled: map[string]bool{}, heard: now}
}

// see takes in how a job stands, and reports whether that is to be told: it is in another state than before, or held.
func (p *progress) see(job *tasks.Job, now time.Time) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.jobs[job.ID]
	p.jobs[job.ID], p.heard = job, now
	return before == nil || before.State != job.State || (before.Hold == nil) != (job.Hold == nil)
}

// settle takes in that nobody waits for a job any more; job is nil if it can't be waited for.
func (p *progress) settle(id string, job *tasks.Job, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled[id] = true
	delete(p.jobs, id)
	if job != nil {
		p.jobs[id], p.heard = job, now
	}
}

// job is how a job stood when it was last seen, or nil.
func (p *progress) job(id string) *tasks.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jobs[id]
}

// counts is how all stand, in a line, and when the last of those that render now is expected.
func (p *progress) counts(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := map[tasks.State]int{}
	var last time.Time
	for _, job := range p.jobs {
		count[job.State]++
		if job.State == tasks.Rendering && job.ETA != nil && job.ETA.After(last) {
			last = *job.ETA
		}
	}
	var parts []string
	for _, state := range tasks.States() {
		if n := count[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	line := plural(len(p.ids), "job")
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	if !last.IsZero() {
		line += "; renders " + timeLeft(last.Sub(now))
	}
	return line
}

// silentAfter is how long Redis may say nothing until that is told. It is asked every second.
const silentAfter = 5 * time.Second

// silence tells, once, that Redis does not answer any more, and that it does again; else it is empty.
func (p *progress) silence(now time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := len(p.settled) < len(p.ids)
	switch quiet := waiting && now.Sub(p.heard) > silentAfter; {
	case quiet && !p.silent:
		p.silent = true
		return "Redis does not answer since " + p.heard.Local().Format(time.TimeOnly) + "; still trying, the jobs go on meanwhile"
	case !quiet && p.silent:
		p.silent = false
		if waiting {
			return "Redis answers again"
		}
	}
	return ""
}

// stands is where a job stands, in a few words.
func stands(job *tasks.Job, now time.Time) string {
	if job == nil {
		return "not seen yet"
	}
	text := string(job.State)
	if job.State == tasks.Rendering {
		text += fmt.Sprintf(", poll %d", job.Polls)
		if job.RemoteStatus != "" {
			text += " saw " + job.RemoteStatus
		}
		if job.ETA != nil {
			text += ", " + timeLeft(job.ETA.Sub(now))
		}
	}
	if job.State == tasks.Storing && len(job.Sources) > 0 {
		text += ", copying " + plural(len(job.Sources), "file")
	}
	if job.Hold != nil {
		text += ", held: " + oneLine(job.Hold.Message, longestNote)
	}
	return text
}

const (
	tellEvery = 10 * time.Second // counts
	lookEvery = time.Second      // whether Redis is silent
	fewJobs   = 20               // of so many, each is told of by itself
)

// tell says on w what is new of all jobs together, until it is stopped: whether Redis answers, and how many jobs are where
// if that is wanted.
func (p *progress) tell(w io.Writer, counts bool) (stop func()) {
	done := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		said, saidAt := "", time.Now()
		look := time.NewTicker(lookEvery)
		defer look.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-look.C:
				if line := p.silence(now); line != "" {
					_, _ = fmt.Fprintln(w, line)
				}
				if line := p.counts(now); counts && now.Sub(saidAt) >= tellEvery {
					if saidAt = now; line != said {
						said = line
						_, _ = fmt.Fprintln(w, line)
					}
				}
			}
		}
	})
	return func() { close(done); told.Wait() }
}
