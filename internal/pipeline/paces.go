package pipeline

import (
	"context"
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
	seen     map[string]pace.Picture
	webhooks pace.Webhooks
	plans    map[string]func() *pace.Plan
}

// of returns the plan of an operation. It is made when it is first wanted.
func (c *paces) of(operation string) *pace.Plan {
	c.mu.Lock()
	plan := c.plans[operation]
	if plan == nil {
		seen, aim := c.seen[operation], pace.Aim{Trade: c.trade, Webhooks: c.webhooks}
		plan = sync.OnceValue(func() *pace.Plan {
			op, _ := operations.Lookup(operation)
			aim.Least = leastBetween(op.Kind)
			return pace.NewPlan(op.Typical, &seen, aim)
		})
		if c.plans == nil {
			c.plans = map[string]func() *pace.Plan{}
		}
		c.plans[operation] = plan
	}
	c.mu.Unlock()
	return plan()
}

// leastBetween is the shortest time between two polls of a job.
func leastBetween(kind operations.Kind) time.Duration {
	if kind == operations.Video {
		return 2 * time.Second
	}
	return time.Second
}

// take makes the plans anew of what has changed.
func (c *paces) take(seen map[string]pace.Picture, webhooks pace.Webhooks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was, is := c.webhooks.Lost(), webhooks.Lost(); math.Abs(is-was) > 0.05*was {
		c.plans = nil
	}
	for operation := range c.plans {
		if seen[operation] != c.seen[operation] {
			delete(c.plans, operation)
		}
	}
	c.seen, c.webhooks = seen, webhooks
}

// heardAny reports whether any webhooks come.
func (c *paces) heardAny() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.webhooks.Heard > 0
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
	var w pace.Webhooks
	if w.Ended, w.Heard, err = p.records.Webhooks(ctx); err != nil {
		return err
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
	p.paces.take(seen, w)
	return nil
}

const (
	learnWithin = 2 * time.Second
	webhookLag  = 2 * time.Second // between the end of a render and the poll that its webhook hastens
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
	err := p.records.EndRender(ctx, 1-1.0/pace.WebhookMemory)
	if complete && err == nil {
		err = p.learnTime(ctx, before)
	}
	if err != nil {
		p.log.DebugContext(ctx, "how long the render took is not learnt", "job", after.ID, "reason", err)
	}
}

func (p *Pipeline) learnTime(ctx context.Context, job *tasks.Job) error {
	from, ready := began(job), p.now()
	unready := from
	if seen := job.PolledAt; seen != nil && seen.After(from) {
		unready = *seen
	}
	if p.paces.heardAny() {
		if woken, err := p.records.Woken(ctx, job.ID); err == nil && woken && ready.Sub(unready) > webhookLag {
			unready = ready.Add(-webhookLag)
		}
	}
	p.observer.Noticed(job, max(ready.Sub(unready), 0))
	var weights []records.Weight
	for _, part := range p.paces.of(job.Operation).Parts(unready.Sub(from), ready.Sub(from)) {
		weights = append(weights, records.Weight{Bucket: part.Bucket, Weight: part.Share})
	}
	return p.records.Learn(ctx, job.Operation, 1-1.0/pace.Memory, weights)
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
