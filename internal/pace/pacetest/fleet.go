package pacetest

import (
	"math/rand/v2"
	"time"

	"github.com/seed-290c2414/hourglass/internal/pace"
)

// A Fleet lets renders go by that are polled by the plan, and learns from them as workers do: from what polls
// find alone, and some renders late, since a worker reads the picture only now and then.
type Fleet struct {
	Typical time.Duration
	Aim     pace.Aim
	Seen    pace.Picture
	Random  *rand.Rand
	Stale   int // renders between two looks at the picture

	plan  *pace.Plan
	since int
}

// Run lets so many renders go by, and returns the cost of the mean one.
func (f *Fleet) Run(r Renders, renders int) Cost {
	var sum Cost
	for range renders {
		c := f.one(r.Draw(f.Random.Float64(), f.Random.Float64()))
		sum.Polls += c.Polls
		sum.Delay += c.Delay
	}
	return Cost{sum.Polls / float64(renders), sum.Delay / float64(renders)}
}

func (f *Fleet) one(took float64) Cost {
	if f.plan == nil || f.since >= f.Stale {
		f.plan, f.since = pace.NewPlan(f.Typical, &f.Seen, f.Aim), 0
	}
	f.since++
	var last, at time.Duration
	polls := 0
	for ; at.Seconds() < took || polls == 0; polls++ {
		last, at = at, f.plan.Spread(at, f.Random.Float64())
	}
	f.Seen.Add(f.plan.Parts(last, at))
	return Cost{float64(polls), at.Seconds() - took}
}

// Plan is the plan of what has been seen so far.
func (f *Fleet) Plan() *pace.Plan { return pace.NewPlan(f.Typical, &f.Seen, f.Aim) }
