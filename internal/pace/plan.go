package pace

import (
	"math"
	"time"
)

// A Plan says when a render is asked after, by how long it is under way. It is made once for many jobs and
// never changes; a look at it costs nothing. It is safe for concurrent use.
type Plan struct {
	ready  *curve
	next   [gridSize]float32 // age of the next poll, in seconds, after one at each age of the grid
	bounds bounds
}

// An Aim is what a plan is to reach.
type Aim struct {
	// Trade is the mean delay that is wanted between ready and noticed.
	Trade Trade

	// Least is the shortest time between two polls, unless the trade wants less.
	Least time.Duration

	// Webhooks tell of some renders that they are ready; those need no poll of the plan's.
	Webhooks Webhooks
}

// longest is the time between two polls that a plan never exceeds, however long the render has been under
// way, unless the operation itself takes as long.
const longest = 10 * time.Minute

// mostUsual times the published median is the longest that renders are believed to take in earnest: what takes longer
// hangs, and is nothing to set the pace by, or an outage would be felt for days.
const mostUsual = 4

// NewPlan makes the plan of an operation from its published median and what was seen of its renders.
func NewPlan(typical time.Duration, seen *Picture, aim Aim) *Plan {
	p := &Plan{ready: believe(typical, seen)}
	usual := min(usual(typical, seen), mostUsual*typical)
	wanted := aim.Trade.wanted(usual)
	p.bounds = bounds{
		least: min(aim.Least, wanted).Seconds(),
		most:  max(longest, 2*usual).Seconds(),
	}
	s := newSearch(p.ready, p.bounds)
	s.hangs = 8 * usual.Seconds()
	s.priceOf(wanted.Seconds())
	if s.lost = aim.Webhooks.caution(); s.lost < 1 {
		// At the same price: what webhooks save is saved both in polls and in delay
		s.solve()
	}
	for i, j := range s.next {
		p.next[i] = float32(ages[j])
	}
	return p
}

// Next returns the age of the next poll of a render that was not ready at an age.
func (p *Plan) Next(age time.Duration) time.Duration {
	return seconds(p.after(age.Seconds()))
}

// Spread is Next, moved by up to a quarter of the time between polls, by a number of 0 to 1: so that many
// renders that began together are not asked after together. The first poll, for which there is a long wait, is spread
// over the whole time to the second.
func (p *Plan) Spread(age time.Duration, by float64) time.Duration {
	next := p.after(age.Seconds())
	gap, wait := p.after(next)-next, next-age.Seconds()
	width := min(gap, wait) / 2
	if wait > 2*gap {
		width = gap
	}
	next += (by - 0.5) * width
	return seconds(min(max(next, age.Seconds()+p.bounds.least), age.Seconds()+p.bounds.most))
}

func (p *Plan) after(age float64) float64 {
	i, part := place(age)
	next := float64(p.next[i])*(1-part) + float64(p.next[i+1])*part
	if i >= gridSize-2 {
		next = age + p.bounds.most
	}
	return min(max(next, age+p.bounds.least), age+p.bounds.most)
}

// before is the share of renders that are ready at an age.
func (p *Plan) before(age float64) float64 {
	i, part := place(age)
	return p.ready[i]*(1-part) + p.ready[i+1]*part
}

// quantile is the age by which so large a share of renders is ready.
func (p *Plan) quantile(share float64) float64 {
	for i := 1; i < gridSize; i++ {
		if p.ready[i] >= share {
			part := (share - p.ready[i-1]) / (p.ready[i] - p.ready[i-1])
			return ages[i-1] + part*(ages[i]-ages[i-1])
		}
	}
	return ages[gridSize-1]
}

// Left is how much longer a render takes that is not ready at an age: as likely less as more.
func (p *Plan) Left(age time.Duration) time.Duration {
	ready := p.before(age.Seconds())
	return max(seconds(p.quantile(ready+(1-ready)/2))-age, 0)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// bounds hold the time between two polls, in seconds.
type bounds struct{ least, most float64 }

// A search finds the best plan by a dynamic programme over the grid: for every age at which a poll may
// have found a render unready, the next poll at which what is still to come costs least. A poll costs
// 1, and a second of delay its price.
type search struct {
	ready  *curve
	sum    curve // of the times of those that are ready
	bounds bounds
	price  float64
	lost   float64
	hangs  float64 // the age at which a render is believed to hang
	silent int     // the last age before which as good as nothing is ready
	cost   [gridSize]float64
	next   [gridSize]int
}

// nothing is a share of renders that is not worth a poll of its own.
const nothing = 1e-4

func newSearch(ready *curve, b bounds) *search {
	s := &search{ready: ready, bounds: b, lost: 1}
	for i := 1; i < gridSize; i++ {
		s.sum[i] = s.sum[i-1] + (ready[i]-ready[i-1])*(ages[i]+ages[i-1])/2
		if ready[i] < nothing {
			s.silent = i
		}
	}
	return s
}

// solve fills next. The best next poll never comes earlier for a later last one, so few are left to try.
func (s *search) solve() {
	last := gridSize - 1
	s.cost[last], s.next[last] = 0, last
	first, most := last, last
	for i := last - 1; i >= 0; i-- {
		for first > i+1 && ages[first-1] >= ages[i]+s.bounds.least {
			first--
		}
		for most > i+1 && ages[most] > ages[i]+s.bounds.most {
			most--
		}
		if i < s.silent { // as at the end of the silence
			s.next[i] = max(min(s.next[s.silent], most), min(first, last))
			s.cost[i] = s.step(i, s.next[i])
			continue
		}
		s.cost[i] = math.Inf(1)
		for j := first; j <= max(first, min(most, s.next[i+1])); j++ {
			if cost := s.step(i, j); cost < s.cost[i] {
				s.cost[i], s.next[i] = cost, j
			}
		}
	}
}

// step is what it costs that the poll after the one at i comes at j. It is asked for by the plan unless the
// render was ready meanwhile and a webhook has told so.
func (s *search) step(i, j int) float64 {
	between := s.ready[j] - s.ready[i]
	return 1 - s.ready[j] + s.lost*(between+s.price*s.delay(i, j)) + s.cost[j]
}

// delay is how long those that get ready between two polls wait for the second, all in all.
func (s *search) delay(i, j int) float64 {
	return ages[j]*(s.ready[j]-s.ready[i]) - s.sum[j] + s.sum[i]
}

// meanDelay is that of the plan found, over all but the slowest renders: a few that hang would else hide all
// the others.
func (s *search) meanDelay() float64 {
	sum := 0.0
	for i := 0; s.ready[i] < 0.98 && ages[i] < s.hangs; i = s.next[i] {
		if s.next[i] == i {
			break
		}
		sum += s.delay(i, s.next[i])
	}
	return sum
}

// priceOf finds the price of delay at which the mean delay is the wanted one, and solves for it. Where polls
// are many, the delay goes with the root of the price.
func (s *search) priceOf(wanted float64) {
	s.price = 1 / wanted
	for range 8 {
		s.solve()
		off := s.meanDelay() / wanted
		if off > 0.98 && off < 1.02 {
			return
		}
		s.price *= min(max(off*off, 1.0/16), 16)
	}
}
