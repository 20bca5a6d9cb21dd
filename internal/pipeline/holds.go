package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

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
	slow bool // the brake is on
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
	all, _, err := h.read(ctx)
	return all, err
}

// read returns every hold, and whether the brake of the API's budget is on, which stands among them.
func (h *Holds) read(ctx context.Context) ([]StageHold, bool, error) {
	found, err := h.records.Holds(ctx)
	if err != nil {
		return nil, false, err
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
	return all, records.Braked(found), nil
}

// holdsValid is for how long a worker believes what it has read: a look at every task would double
// what a poll costs.
const holdsValid = time.Second

// of returns what holds a stage back, or nil.
func (h *Holds) of(ctx context.Context, stage tasks.Stage) (*StageHold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); h.at.IsZero() || now.Sub(h.at) >= holdsValid {
		all, slow, err := h.read(ctx)
		if err != nil {
			return nil, err
		}
		h.seen, h.slow, h.at = all, slow, now
	}
	if i := slices.IndexFunc(h.seen, func(s StageHold) bool { return s.Stage == stage }); i >= 0 {
		return &h.seen[i], nil
	}
	return nil, nil //nolint:nilnil // nothing holds it
}

// braked reports whether the API had too many calls, as was seen last.
func (h *Holds) braked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.slow
}

// forget makes the next look a fresh one.
func (h *Holds) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = time.Time{}
}
