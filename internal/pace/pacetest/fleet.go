package pacetest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/pace"
)

// A Fleet lets renders go by that are polled by the plan, and learns from them as workers do: from what polls
// and webhooks tell alone, and some renders late, since a worker reads the picture only now and then.
type Fleet struct {
	Typical time.Duration
	Aim     pace.Aim
	Seen    pace.Picture
	Random  *rand.Rand
	Stale   int     // renders between two looks at the picture
	Told    float64 // share of renders of which a webhook tells
	Late    float64 // by how many seconds more than usual webhooks come

	// Queue draws how long a render stands in the queue before it begins, in seconds; nil: not at all. A
	// poll sees that it is queued, unless the fleet is Blind to it.
	Queue func() float64
	Blind bool

	plan  *pace.Plan
	since int
}

// webhookLag is how long after the end a webhook's poll has noticed it, in seconds.
const webhookLag = 0.5

// inTime is how many seconds after a poll has noticed the end a webhook still counts as one that came.
const inTime = 10

// A Tally is what many renders cost.
type Tally struct {
	Cost           // of the mean one
	P95    float64 // of the delay
	Length float64 // of the mean render, queue included
}

// Run lets so many renders go by.
func (f *Fleet) Run(r Renders, renders int) Tally {
	var t Tally
	var delays []float64
	for range renders {
		took := r.Draw(f.Random.Float64(), f.Random.Float64())
		queued := 0.0
		if f.Queue != nil {
			queued = f.Queue()
		}
		c := f.one(queued, queued+took)
		t.Polls += c.Polls / float64(renders)
		t.Delay += c.Delay / float64(renders)
		t.Length += (queued + took) / float64(renders)
		delays = append(delays, c.Delay)
	}
	slices.Sort(delays)
	t.P95 = delays[len(delays)*95/100]
	return t
}

func (f *Fleet) one(queued, ends float64) Cost {
	if f.plan == nil || f.since >= f.Stale {
		f.plan, f.since = f.Plan(), 0
	}
	f.since++
	told := f.Random.Float64() < f.Told
	heard := ends + webhookLag + f.Late
	var began, last, at float64 // ages since the purchase, in seconds
	polls := 0
	unseen := true
	for at < ends {
		last = at
		delay := f.plan.Spread(seconds(at-began), f.Random.Float64()).Seconds() - (at - began)
		if began == at && at > 0 {
			delay = max(delay, min(at/16, 300)) // as the pipeline does with what is queued for long
		}
		at += delay
		polls++
		if told && at > heard {
			at, unseen = heard, false
			last = max(last, heard-webhookLag)
			break
		}
		if at < queued && !f.Blind {
			began = at
		}
	}
	f.Seen.Fade(1 - 1.0/pace.Memory)
	f.Seen.Add(f.plan.Parts(seconds(last-began), seconds(at-began)))
	f.Aim.Webhooks.End(told && (!unseen || heard <= at+inTime))
	return Cost{float64(polls), at - ends}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Plan is the plan of what has been seen so far.
func (f *Fleet) Plan() *pace.Plan { return pace.NewPlan(f.Typical, &f.Seen, f.Aim) }
