package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// guess is what a job of an operation that nobody knows the price of is taken to cost, in credits.
const guess = 50

// settleAtMost is how many purchases are looked at when a budget is settled.
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

// A purchase is what credits are reserved for: a job, or one of its later purchases, each of which is reserved for by
// itself. No job id has a tilde.
type purchase struct {
	name string
	job  *tasks.Job
}

func purchaseOf(job *tasks.Job) purchase {
	if job.Epoch == 1 {
		return purchase{job.ID, job}
	}
	return purchase{job.ID + "~" + strconv.Itoa(job.Epoch), job}
}

// parsePurchase returns the job of a purchase, and the epoch from which on it can have been made.
func parsePurchase(name string) (id string, epoch int) {
	id, text, later := strings.Cut(name, "~")
	epoch = 1
	if later {
		epoch, _ = strconv.Atoi(text)
	}
	return id, epoch
}

// reserve sets aside what a purchase is expected to cost, or refuses it before it is made. What those before it have
// really cost is looked up first.
func (a *API) reserve(ctx context.Context, h http.Header, c Caller, p purchase) error {
	if c.CreditsPerDay == nil {
		return nil
	}
	b := a.budget(c)
	if a.settled.due(b, a.Now()) || p.job.Epoch > 1 { // what the purchase before it has cost is about to be forgotten
		if err := a.settle(ctx, c, b); err != nil {
			return err
		}
	}
	price, err := a.price(ctx, p.job)
	if err != nil {
		return err
	}
	left, ok, err := a.Records.Reserve(ctx, b, p.name, price, *c.CreditsPerDay)
	if err != nil {
		return err
	}
	h.Set("Credits-Left", strconv.Itoa(left))
	if ok {
		return nil
	}
	midnight := a.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	return problem{
		Status: http.StatusTooManyRequests, Code: "budget", retryAfter: midnight.Sub(a.Now().UTC()) + time.Second,
		Detail: fmt.Sprintf("the job is expected to cost %d credits, and %d of the token's %d a day (UTC) are left", price, left, *c.CreditsPerDay),
	}
}

// giveBack gives back what was reserved for a job that was not accepted. Where it may have been, or another request of
// its id was, what is reserved is settled by the record.
func (a *API) giveBack(ctx context.Context, c Caller, job *tasks.Job) error {
	if c.CreditsPerDay == nil {
		return nil
	}
	if _, err := a.Client.Job(ctx, job.ID); !errors.Is(err, tasks.ErrNotFound) {
		return nil
	}
	// Not for good: a Redis that stood still may take the job after all, and then what it costs counts.
	return a.Records.Settle(ctx, a.budget(c), purchaseOf(job).name, 0, false)
}

// price is what the operator says, else by the most that a second or an image of the operation has cost, else a guess.
func (a *API) price(ctx context.Context, job *tasks.Job) (int, error) {
	if n, known := a.Tokens.price(job.Operation); known {
		return n, nil
	}
	each, err := a.Records.Price(ctx, job.Operation)
	if each == 0 {
		return guess, err
	}
	return int(math.Ceil(each * size(job))), err
}

// size is how much a job asks for: seconds, or images; at least 1.
func size(job *tasks.Job) float64 {
	var body struct {
		Start  float64 `json:"start_seconds"`
		End    float64 `json:"end_seconds"`
		Images float64 `json:"image_count"`
	}
	_ = json.Unmarshal(job.Body, &body) // it was checked; what has neither is 1
	return max(1, body.End-body.Start, body.Images)
}

// settle puts what purchases have cost in the place of what was reserved for them.
func (a *API) settle(ctx context.Context, c Caller, b records.Budget) error {
	names, err := a.Records.Unsettled(ctx, b, settleAtMost)
	if err != nil || len(names) == 0 {
		return err
	}
	ids := make([]string, len(names))
	for i, name := range names {
		ids[i], _ = parsePurchase(name)
	}
	texts, err := a.Records.LoadAll(ctx, ids)
	if err != nil {
		return err
	}
	for i, text := range texts {
		if text == nil {
			continue // it is being submitted; or was not accepted, or is forgotten: what is reserved stays
		}
		job, err := tasks.DecodeJob(text)
		if err != nil {
			continue // of a later version: the same
		}
		if err := a.settleOne(ctx, c, b, names[i], job); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) settleOne(ctx context.Context, c Caller, b records.Budget, name string, job *tasks.Job) error {
	if !c.Sees(job) { // the id was somebody else's before this job could have it
		return a.Records.Settle(ctx, b, name, 0, true)
	}
	_, epoch := parsePurchase(name)
	credits, known, final := costOf(job)
	if !known || job.Epoch < epoch {
		return nil
	}
	if err := a.Records.Settle(ctx, b, name, credits, final); err != nil || credits == 0 {
		return err
	}
	return a.Records.LearnPrice(ctx, job.Operation, float64(credits)/size(job))
}

// costOf is what a job has cost, whether that is known, and whether it stays. Of video it is an estimate until the
// render is complete, and what failed is refunded.
func costOf(job *tasks.Job) (credits int, known, final bool) {
	switch {
	case job.Mark() != nil: // nobody can tell whether it was charged
		return 0, false, false
	case job.ProjectID == "" && (!job.State.Ended() || bought(job)):
		return 0, false, false
	}
	return job.CreditsCharged, true, job.State.Ended() || job.StoredAt != nil
}

// bought reports whether something was charged that the record does not follow: a caller has canceled meanwhile.
func bought(job *tasks.Job) bool {
	return len(job.Orphans) > 0 || slices.ContainsFunc(job.Attempts, func(a tasks.Attempt) bool { return a.Outcome != tasks.NotCharged })
}
