package pipeline

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// paces are the plans of polls of this process. They are made of what the fleet has learnt, which is read
// now and then and never by a task: a task finds its plan in memory.
type paces struct {
	trade pace.Trade

	mu       sync.Mutex
	seen     map[string]pace.Picture           // of each operation
	webhooks map[operations.Kind]pace.Webhooks // of each kind of project
	plans    map[string]planned                // of each operation that was asked for
}

// A planned plan is made when it is first wanted.
type planned struct {
	lost float64 // the webhooks that it reckons with to be lost
	plan func() *pace.Plan
}

// of returns the plan of an operation.
func (c *paces) of(operation string) *pace.Plan {
	c.mu.Lock()
	made, found := c.plans[operation]
	if !found {
		op, _ := operations.Lookup(operation)
		seen, aim := c.seen[operation], pace.Aim{Trade: c.trade, Webhooks: c.webhooks[op.Kind], Least: leastBetween(op.Kind)}
		made = planned{aim.Webhooks.Lost(), sync.OnceValue(func() *pace.Plan { return pace.NewPlan(op.Typical, &seen, aim) })}
		if c.plans == nil {
			c.plans = map[string]planned{}
		}
		c.plans[operation] = made
	}
	c.mu.Unlock()
	return made.plan()
}

// leastBetween is the shortest time between two polls of a job.
func leastBetween(kind operations.Kind) time.Duration {
	if kind == operations.Video {
		return 2 * time.Second
	}
	return time.Second
}

// take makes the plans anew of what has changed.
func (c *paces) take(seen map[string]pace.Picture, webhooks map[operations.Kind]pace.Webhooks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for operation, made := range c.plans {
		op, _ := operations.Lookup(operation)
		if seen[operation] != c.seen[operation] || math.Abs(webhooks[op.Kind].Lost()-made.lost) > 0.05*made.lost {
			delete(c.plans, operation)
		}
	}
	c.seen, c.webhooks = seen, webhooks
}

// lookAtRenders reads what the fleet has learnt. Without it the plans stay as they are.
func (p *Pipeline) lookAtRenders(ctx context.Context) error {
	var names []string
	for _, op := range operations.All() {
		names = append(names, op.Name)
	}
	learnt, err := p.records.Renders(ctx, names)
	if err != nil {
		return err
	}
	webhooks := map[operations.Kind]pace.Webhooks{}
	for _, kind := range []operations.Kind{operations.Video, operations.Image, operations.Audio} {
		var w pace.Webhooks
		if w.Ended, w.Heard, err = p.records.Webhooks(ctx, string(kind)); err != nil {
			return err
		}
		webhooks[kind] = w
	}
	seen := map[string]pace.Picture{}
	for operation, weights := range learnt {
		var picture pace.Picture
		for _, w := range weights {
			if w.Bucket >= 0 && w.Bucket < pace.Buckets {
				picture[w.Bucket] = w.Weight
			}
		}
		seen[operation] = picture
	}
	p.paces.take(seen, webhooks)
	return nil
}

const (
	learnWithin = 2 * time.Second
	webhookLag  = 2 * time.Second // between the end of a render and the arrival of its webhook
)

// learn tells the fleet how long a render took, once the record says that it has ended. It is worth no
// trouble: a render that is not counted, or twice, changes nothing that matters.
func (p *Pipeline) learn(ctx context.Context, before, after *tasks.Job) {
	if before.State != tasks.Rendering || after.State == tasks.Rendering || after.ProjectID != before.ProjectID {
		return
	}
	complete := after.State == tasks.Storing
	if !complete && after.RemoteStatus != magichour.StatusError {
		return // canceled or given up: no webhook tells of that
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), learnWithin)
	defer cancel()
	heard, err := p.records.EndRender(ctx, after.Kind, after.ProjectID, 1-1.0/pace.WebhookMemory)
	if complete {
		err = errors.Join(err, p.learnTime(ctx, before, heard))
	}
	if err != nil {
		p.log.DebugContext(ctx, "how long the render took is not learnt", "job", after.ID, "reason", err)
	}
}

// lateAfter times the published median after the purchase, a webhook may have been long under way itself: senders try for a
// day. Then it says only that the render was ready by then.
const lateAfter = 4

// longestLearnt is the longest time that is learnt: what took longer was hardly a render all the time.
const longestLearnt = 24 * time.Hour

// learnTime tells of a render that was seen complete now, and of which a webhook told, unless heard is zero. It is
// as sure as the look before allows; with a webhook, which is sent at the end, to a moment. Times that contradict each other
// are those of different clocks, and are not learnt.
func (p *Pipeline) learnTime(ctx context.Context, job *tasks.Job, heard time.Time) error {
	from, now := began(job), p.now()
	unready, ready := from, now
	if seen := job.PolledAt; seen != nil && seen.After(from) {
		unready = *seen
	}
	op, _ := operations.Lookup(job.Operation)
	if heard.After(unready) && heard.Before(now) {
		ready = heard
		if heard.Sub(from) < lateAfter*op.Typical {
			unready = latest(unready, heard.Add(-webhookLag))
		}
	}
	p.observer.Noticed(job, max(now.Sub(unready), 0))
	if unready.After(ready) || ready.Sub(from) > longestLearnt {
		return nil
	}
	rendered := unready.Sub(from) // at least
	if began := job.RenderingAt; job.QueuedAt != nil && from.Equal(*job.QueuedAt) && began != nil && began.After(from) {
		rendered = max(unready.Sub(*began), 0) // what was seen queued may have been so until a poll saw it render
	}
	var weights []records.Weight
	for _, part := range p.paces.of(job.Operation).Parts(rendered, ready.Sub(from)) {
		weights = append(weights, records.Weight{Bucket: part.Bucket, Weight: part.Share})
	}
	return p.records.Learn(ctx, job.Operation, 1-1.0/pace.Memory, pace.Lifetime(op.Typical), weights)
}

// boughtAt is when the project of a job was bought.
func boughtAt(job *tasks.Job) time.Time {
	for i := len(job.Attempts) - 1; i >= 0; i-- {
		if a := job.Attempts[i]; a.Outcome == tasks.Charged {
			return a.At
		}
	}
	if job.ProjectAt != nil {
		return *job.ProjectAt
	}
	return job.StateAt
}

// began is from when on a render is waited for: from the purchase, and while it is queued from every poll
// anew that finds it so, since it has all of its time before it still.
func began(job *tasks.Job) time.Time {
	at := boughtAt(job)
	if job.QueuedAt != nil && job.QueuedAt.After(at) {
		return *job.QueuedAt
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
