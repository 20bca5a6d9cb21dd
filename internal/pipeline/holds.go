package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A StageHold keeps the whole fleet from working at a stage. A worker that finds the key rejected or
// the account empty spares the others the finding; a person holds a stage by hand.
type StageHold struct {
	Stage   tasks.Stage `json:"stage"`
	Code    string      `json:"code"`
	Message string      `json:"message"` // what it is about, and what to do
	Since   time.Time   `json:"since"`

	// Credits is the balance that was not enough; nil where it is not known.
	Credits *int `json:"credits,omitempty"`

	name, text string // as it stands in Redis
}

// Holds are the holds of the fleet. They are safe for concurrent use.
type Holds struct {
	records *records.Store
	now     func() time.Time

	mu   sync.Mutex
	seen []StageHold
	at   time.Time
}

// NewHolds returns the holds of the fleet whose Redis rdb speaks to.
func NewHolds(rdb redis.UniversalClient) *Holds {
	return &Holds{records: records.New(rdb), now: time.Now}
}

// byHand is the code of a hold that a person has made. It ends when a person releases it.
const byHand = "by_hand"

// ByHand holds a stage until it is released, also when all workers are started anew. It reports
// whether it was not held by hand before.
func (h *Holds) ByHand(ctx context.Context, stage tasks.Stage, why string) (bool, error) {
	return h.hold(ctx, StageHold{Stage: stage, Code: byHand, Message: cmp.Or(why, "held by hand") + "; worker release " + string(stage) + " lets it go on"})
}

func (h *Holds) hold(ctx context.Context, s StageHold) (bool, error) {
	s.Since = h.now().UTC()
	text, err := json.Marshal(s)
	if err != nil {
		return false, err
	}
	h.forget()
	return h.records.Hold(ctx, string(s.Stage)+"/"+s.Code, text)
}

// Release lets a stage go on, whatever held it, and returns what that was.
func (h *Holds) Release(ctx context.Context, stage tasks.Stage) ([]StageHold, error) {
	all, err := h.All(ctx)
	if err != nil {
		return nil, err
	}
	var released []StageHold
	for _, s := range all {
		if s.Stage != stage {
			continue
		}
		gone, err := h.release(ctx, s)
		if err != nil {
			return released, err
		}
		if gone {
			released = append(released, s)
		}
	}
	return released, nil
}

func (h *Holds) release(ctx context.Context, s StageHold) (bool, error) {
	h.forget()
	return h.records.Release(ctx, s.name, s.text)
}

// All returns every hold, in the order of the road.
func (h *Holds) All(ctx context.Context) ([]StageHold, error) {
	found, err := h.records.Holds(ctx)
	if err != nil {
		return nil, err
	}
	var all []StageHold
	for name, text := range found {
		var s StageHold
		if json.Unmarshal([]byte(text), &s) != nil {
			continue // of a later version
		}
		s.name, s.text = name, text
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b StageHold) int {
		return cmp.Or(cmp.Compare(slices.Index(tasks.Stages(), a.Stage), slices.Index(tasks.Stages(), b.Stage)), cmp.Compare(a.Code, b.Code))
	})
	return all, nil
}

// holdsValid is for how long a worker believes what it has read: a look at every task would double
// what a poll costs.
const holdsValid = time.Second

// of returns what holds a stage back, or nil.
func (h *Holds) of(ctx context.Context, stage tasks.Stage) (*StageHold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); h.at.IsZero() || now.Sub(h.at) >= holdsValid {
		all, err := h.All(ctx)
		if err != nil {
			return nil, err
		}
		h.seen, h.at = all, now
	}
	if i := slices.IndexFunc(h.seen, func(s StageHold) bool { return s.Stage == stage }); i >= 0 {
		return &h.seen[i], nil
	}
	return nil, nil //nolint:nilnil // nothing holds it
}

// forget makes the next look a fresh one.
func (h *Holds) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = time.Time{}
}

// A held task comes again after a quarter of the time for which its stage is held already: soon at
// first, and rarely when nobody is there to see to it.
const (
	heldAtLeast = 15 * time.Second
	heldAtMost  = 5 * time.Minute
)

// heldBack is the error of a task whose stage is held.
func (p *Pipeline) heldBack(s *StageHold) error {
	after := min(max(p.now().Sub(s.Since)/4, heldAtLeast), heldAtMost)
	return &failure{verdict{class: held, code: s.Code, message: s.Message, after: after}}
}

// tellFleet holds the stages of the fleet that would meet the same error. The job itself is saved by then:
// asking the account may take its time, and the worker may be killed meanwhile.
func (p *Pipeline) tellFleet(ctx context.Context, stage tasks.Stage, err error) {
	var answer *magichour.Error
	if v := classify(stage, err); v.class == held && errors.As(err, &answer) {
		switch {
		case answer.Status == http.StatusUnauthorized:
			p.holdFleet(ctx, v, nil, tasks.Stages()...)
		case v.code == codeCredits:
			p.tellOfCredits(ctx, v)
		}
	}
}

// tellOfCredits tells want of credits from what one request alone may not have, and which must not stop the
// fleet. The API's older answers have no code: then it is the account that knows.
func (p *Pipeline) tellOfCredits(ctx context.Context, v verdict) {
	var balance *int
	if account, err := p.api.Account(ctx); err == nil {
		credits := int(account.Credits)
		balance = &credits
	}
	if !v.ambiguous || balance != nil && *balance == 0 {
		p.holdFleet(ctx, v, balance, tasks.StageCreate)
	}
}

// holdFleet holds stages, and says so once for the whole fleet.
func (p *Pipeline) holdFleet(ctx context.Context, v verdict, balance *int, stages ...tasks.Stage) {
	var held []string
	for _, stage := range stages {
		isNew, err := p.holds.hold(ctx, StageHold{Stage: stage, Code: v.code, Message: v.message + "; " + v.hint, Credits: balance})
		if err != nil {
			p.log.WarnContext(ctx, "the fleet can't be told", "code", v.code, "reason", err)
			return // this job holds by itself
		}
		if isNew {
			held = append(held, string(stage))
		}
	}
	if len(held) > 0 {
		p.log.ErrorContext(ctx, "fleet held", "stages", strings.Join(held, ","), "code", v.code, "reason", v.message, "hint", v.hint)
	}
}

const (
	probeTurn  = "probe"
	probeEvery = 10 * time.Second
	// tryAnyway is for how long the fleet is held by an account that does not answer, or by a balance that is
	// not zero and does not grow: it may be enough for other jobs, or may have grown just before it was asked
	// for. A create that is refused costs nothing.
	tryAnyway = 15 * time.Minute
)

// probe asks the account, which costs nothing, whether what holds the fleet is mended. One worker
// at a time does.
func (p *Pipeline) probe(ctx context.Context) error {
	all, err := p.holds.All(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s StageHold) bool { return s.Code == byHand })
	if len(all) == 0 {
		return nil
	}
	if mine, err := p.records.Turn(ctx, probeTurn, probeEvery); !mine || err != nil {
		return err
	}
	account, err := p.api.Account(ctx)
	if err != nil {
		// Another worker may have a better key, or a better way to the API.
		if err := p.records.GiveTurn(ctx, probeTurn); err != nil {
			return err
		}
	}
	var answer *magichour.Error
	rejected := errors.As(err, &answer) && answer.Status == http.StatusUnauthorized
	var released []string
	for _, s := range all {
		if rejected || err != nil && p.now().Sub(s.Since) < tryAnyway || err == nil && !p.mended(s, int(account.Credits)) {
			continue
		}
		gone, err := p.holds.release(ctx, s)
		if err != nil {
			return err
		}
		if gone {
			released = append(released, string(s.Stage))
		}
	}
	if len(released) > 0 {
		p.log.InfoContext(ctx, "fleet goes on", "stages", strings.Join(released, ","), "code", all[0].Code)
	}
	return nil
}

// mended reports whether an account that answers, with this balance, has what the hold is about.
func (p *Pipeline) mended(s StageHold, credits int) bool {
	if s.Code != codeCredits {
		return true
	}
	return credits > 0 && (s.Credits == nil || credits > *s.Credits || p.now().Sub(s.Since) > tryAnyway)
}
