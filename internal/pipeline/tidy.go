package pipeline

import (
	"context"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	tidyEvery = time.Hour
	tidyAge   = 48 * time.Hour   // of what jobs have left that never came back
	tidyFor   = 2 * time.Minute  // the whole store
	tidyJobIn = 10 * time.Second // one job: its copies are safe, so that this is worth no more
)

// tidyJob removes what workers that were killed have left of a job whose set is complete. Should
// another handler still be copying for it, that copy is in vain anyway.
func (p *Pipeline) tidyJob(ctx context.Context, job *tasks.Job) {
	ctx, cancel := context.WithTimeout(ctx, tidyJobIn)
	defer cancel()
	p.tidy(ctx, folder(job), 0)
}

// tidyStore does the same for jobs that never came back, in one worker of the fleet at a time.
func (p *Pipeline) tidyStore(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tidyFor)
	defer cancel()
	if mine, err := p.records.Turn(ctx, "tidy", tidyEvery); mine && err == nil {
		p.tidy(ctx, "", tidyAge)
	}
}

// tidy fails no job: what it leaves is found an hour later, or by the bucket's own rule. One warning
// is enough, since the usual reason is a right that is not granted.
func (p *Pipeline) tidy(ctx context.Context, folder string, age time.Duration) {
	removed, err := p.store.Tidy(ctx, folder, age)
	switch {
	case err == nil && removed > 0:
		p.log.InfoContext(ctx, "removed what copies that were cut short had left", "below", folder, "count", removed)
	case err != nil && p.untidy.CompareAndSwap(false, true):
		p.log.WarnContext(ctx, "copies that were cut short can't be removed; said once", "reason", err)
	case err != nil:
		p.log.DebugContext(ctx, "copies that were cut short can't be removed", "below", folder, "reason", err)
	}
}
