package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A view is what somebody who waits is shown: on a terminal a bar for each job; elsewhere a line for each change of state
// of a job, or the counts of many jobs.
type view struct {
	stdout, stderr io.Writer // in whose place they are written to

	progress *progress
	screen   *screen
	bars     *jobBars // nil if there are none
	lines    bool
	close    func()
}

func newView(ids []string, asJSON bool, stdout, stderr io.Writer) *view {
	_, _ = fmt.Fprintf(stderr, "waiting for %s\n", plural(len(ids), "job"))
	p := newProgress(ids, time.Now())
	v := &view{progress: p, screen: openScreen(stderr, asJSON, func() string { return p.counts(time.Now()) })}
	v.stdout, v.stderr = v.screen.to(stdout), v.screen.to(stderr)
	if v.screen.bars != nil {
		v.bars = newJobBars(v.screen, p)
	}
	v.lines = v.bars == nil && len(ids) <= fewJobs
	stop := p.tell(v.stderr, v.bars == nil && !v.lines)
	v.close = sync.OnceFunc(func() { stop(); v.screen.close() })
	return v
}

// see shows how a job stands that is waited for.
func (v *view) see(job *tasks.Job) {
	now := time.Now()
	news := v.progress.see(job, now)
	if v.bars != nil {
		v.bars.see(job)
	}
	if v.lines && news {
		_, _ = fmt.Fprintf(v.stderr, "%s\t%s\n", job.ID, stands(job, now))
	}
}

// settle shows that a job is not waited for any more.
func (v *view) settle(id string, job *tasks.Job) {
	v.progress.settle(id, job, time.Now())
	if v.bars != nil {
		v.bars.settle(id)
	}
}
