package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// guess is what a job is taken to cost of an operation that the caller has not bought before, in credits.
const guess = 50

// settleAtMost is how many jobs are looked at when a budget is settled.
const settleAtMost = 500

// settlements remembers when a budget was last settled.
type settlements struct {
	mu   sync.Mutex
	last map[records.Budget]time.Time
}

// settleEvery is how old what is known of a budget may be.
const settleEvery = time.Second

func (s *settlements) due(b records.Budget, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last[b]) < settleEvery {
		return false
	}
	if s.last == nil || len(s.last) > 10_000 { // of days that are over
		s.last = map[records.Budget]time.Time{}
	}
	s.last[b] = now
	return true
}

func (a *API) budget(c Caller) records.Budget {
	return records.Budget{Name: c.Name, Day: a.Now().UTC().Format(time.DateOnly)}
}

// reserve sets aside what a job is expected to cost that is about to be bought, or refuses it before it is enqueued.
// What the jobs before it have really cost is looked up first. Whoever may spend any amount has no budget.
func (a *API) reserve(ctx context.Context, w http.ResponseWriter, c Caller, job *tasks.Job) error {
	if c.CreditsPerDay == nil {
		return nil
	}
	b, limit := a.budget(c), *c.CreditsPerDay
	if a.settled.due(b, a.Now()) {
		if err := a.settle(ctx, c, b); err != nil {
			return err
		}
	}
	price, err := a.price(ctx, b, job.Operation, limit)
	if err != nil {
		return err
	}
	left, ok, err := a.Records.Reserve(ctx, b, job.ID, job.Epoch, price, limit)
	if err != nil {
		return err
	}
	w.Header().Set("Credits-Left", strconv.Itoa(left))
	if ok {
		return nil
	}
	midnight := a.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	return problem{
		Status: http.StatusTooManyRequests, Code: "budget", retryAfter: midnight.Sub(a.Now().UTC()) + time.Second,
		Detail: fmt.Sprintf("the job is expected to cost %d credits, and %d of the token's %d a day (UTC) are left", price, left, limit),
	}
}

// giveBack gives back what was reserved for a job that was not accepted. Where it is not known whether it was, the
// reservation stays.
func (a *API) giveBack(ctx context.Context, c Caller, wanted, stands *tasks.Job, why error) error {
	if c.CreditsPerDay == nil {
		return nil
	}
	if errors.Is(why, tasks.ErrExists) {
		if c.Sees(stands) {
			return nil // of two requests that came at once the other was accepted, under the reservation of both
		}
	} else if _, err := a.Client.Job(ctx, wanted.ID); !errors.Is(err, tasks.ErrNotFound) {
		return nil //nolint:nilerr // it was accepted, or nobody can tell
	}
	return a.Records.Settle(ctx, a.budget(c), records.Cost{Job: wanted.ID, Epoch: wanted.Epoch, Final: true})
}

// price is what the operator says, else what such jobs of the caller were charged, else a guess. What is no more than
// expected keeps nobody out who has spent nothing yet: nothing would be learnt any more.
func (a *API) price(ctx context.Context, b records.Budget, operation string, limit int) (int, error) {
	if n, known := a.Tokens.price(operation); known {
		return n, nil
	}
	n, err := a.Records.Price(ctx, b, operation)
	if n == 0 {
		n = guess
	}
	return min(n, max(limit, 1)), err
}

// settle puts what jobs have cost in the place of what was reserved for them.
func (a *API) settle(ctx context.Context, c Caller, b records.Budget) error {
	ids, err := a.Records.Unsettled(ctx, b, settleAtMost)
	if err != nil || len(ids) == 0 {
		return err
	}
	texts, err := a.Records.LoadAll(ctx, ids)
	if err != nil {
		return err
	}
	var costs []records.Cost
	for _, text := range texts {
		if text == nil {
			continue // it is being submitted
		}
		job, err := tasks.DecodeJob(text)
		if err != nil || !c.Sees(job) {
			continue // of a later version, or another tenant's that came first: what is reserved stays
		}
		costs = append(costs, costOf(job)...)
	}
	return a.Records.Settle(ctx, b, costs...)
}

// costOf is what a job has cost, if that is known. Of video it is an estimate until the render is complete, and what
// failed is refunded.
func costOf(job *tasks.Job) []records.Cost {
	if job.Mark() != nil || job.ProjectID == "" && !job.State.Ended() {
		return nil // nobody can tell, or not yet
	}
	return []records.Cost{{
		Job: job.ID, Operation: job.Operation, Epoch: job.Epoch, Credits: job.CreditsCharged,
		Final: job.State.Ended() || job.StoredAt != nil,
	}}
}
