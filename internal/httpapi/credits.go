package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// guess is what a job of an operation that nobody knows the price of is taken to cost, in credits.
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

// reserve sets aside what a job is expected to cost, or refuses it before it is enqueued. What the jobs before it have
// really cost is looked up first.
func (a *API) reserve(ctx context.Context, w http.ResponseWriter, c Caller, job *tasks.Job) error {
	if c.CreditsPerDay == nil {
		return nil
	}
	b := a.budget(c)
	if a.settled.due(b, a.Now()) {
		if err := a.settle(ctx, b); err != nil {
			return err
		}
	}
	price, err := a.price(ctx, job.Operation)
	if err != nil {
		return err
	}
	left, ok, err := a.Records.Reserve(ctx, b, job.ID, price, *c.CreditsPerDay)
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
		Detail: fmt.Sprintf("the job is expected to cost %d credits, and %d of the token's %d a day (UTC) are left", price, left, *c.CreditsPerDay),
	}
}

// release gives back what was reserved for a job that was not accepted.
func (a *API) release(ctx context.Context, c Caller, id string) error {
	if c.CreditsPerDay == nil {
		return nil
	}
	return a.Records.Settle(ctx, a.budget(c), id, 0, true)
}

// price is what the operator says, else what was last charged, else a guess.
func (a *API) price(ctx context.Context, operation string) (int, error) {
	if n, known := a.Tokens.price(operation); known {
		return n, nil
	}
	n, err := a.Records.Price(ctx, operation)
	if n == 0 {
		n = guess
	}
	return n, err
}

// settle puts what jobs have cost in the place of what was reserved for them.
func (a *API) settle(ctx context.Context, b records.Budget) error {
	ids, err := a.Records.Unsettled(ctx, b, settleAtMost)
	if err != nil || len(ids) == 0 {
		return err
	}
	texts, err := a.Records.LoadAll(ctx, ids)
	if err != nil {
		return err
	}
	for i, text := range texts {
		if text == nil {
			continue // it is being submitted
		}
		job, err := tasks.DecodeJob(text)
		if err != nil {
			continue // of a later version: what is reserved stays
		}
		credits, known, final := costOf(job)
		if !known {
			continue
		}
		if err := a.Records.Settle(ctx, b, ids[i], credits, final); err != nil {
			return err
		}
		if credits > 0 {
			if err := a.Records.LearnPrice(ctx, job.Operation, credits); err != nil {
				return err
			}
		}
	}
	return nil
}

// costOf is what a job has cost, whether that is known, and whether it stays. Of video it is an estimate until the
// render is complete, and what failed is refunded.
func costOf(job *tasks.Job) (credits int, known, final bool) {
	switch {
	case job.Mark() != nil: // nobody can tell whether it was charged
		return 0, false, false
	case job.ProjectID == "" && !job.State.Ended():
		return 0, false, false
	}
	return job.CreditsCharged, true, job.State.Ended() || job.StoredAt != nil
}
