// Package pacetest judges plans of polls: it knows how long renders really take, finds by a dynamic
// programme of its own how few polls suffice for a mean delay, and lets fleets of renders go by.
package pacetest

import "math"

// Renders are how long the renders of an operation take, in seconds: lognormal, all of them or a share
// Second of them around another median.
type Renders struct {
	Median, Sigma   float64
	Second, Median2 float64
}

// Ready is the share of renders that are ready after t seconds.
func (r Renders) Ready(t float64) float64 {
	return (1-r.Second)*lognormal(t, r.Median, r.Sigma) + r.Second*lognormal(t, r.Median2, r.Sigma)
}

func lognormal(t, median, sigma float64) float64 {
	if t <= 0 || median <= 0 {
		return 0
	}
	return math.Erfc(-math.Log(t/median)/(sigma*math.Sqrt2)) / 2
}

// Draw turns two even random numbers of 0 to 1 into the time of a render.
func (r Renders) Draw(which, where float64) float64 {
	median := r.Median
	if which < r.Second {
		median = r.Median2
	}
	return median * math.Exp(r.Sigma*math.Sqrt2*math.Erfinv(2*where-1))
}

// A Cost is what a way of polling costs a render: polls, and the mean delay between ready and noticed in
// seconds.
type Cost struct{ Polls, Delay float64 }

// Follow returns what renders cost if each is polled at next(age) until it is ready.
func (r Renders) Follow(next func(age float64) float64) Cost {
	var c Cost
	for at := 0.0; r.Ready(at) < 1-1e-9 && at < 100*r.longest(); {
		then := next(at)
		c.Polls += 1 - r.Ready(at)
		c.Delay += r.delay(at, then)
		at = then
	}
	return c
}

// delay is how long renders that get ready between two polls wait for the second one.
func (r Renders) delay(from, to float64) float64 {
	const parts = 16
	sum, step := 0.0, (to-from)/parts
	for i := range parts {
		sum += (r.Ready(from+float64(i)*step+step/2) - r.Ready(from)) * step
	}
	return sum
}

func (r Renders) longest() float64 { return max(r.Median, r.Median2) }

// Every is the cost of asking at a fixed interval.
func (r Renders) Every(interval float64) Cost {
	return r.Follow(func(age float64) float64 { return age + interval })
}

// EveryAt is the fixed interval with this mean delay, and its cost.
func (r Renders) EveryAt(delay float64) (interval float64, c Cost) {
	low, high := delay/8, delay*64
	for range 60 {
		interval = math.Sqrt(low * high)
		if c = r.Every(interval); c.Delay > delay {
			high = interval
		} else {
			low = interval
		}
	}
	return interval, c
}

// Optimum is the fewest polls that a render needs at this mean delay, whatever the plan: no plan that knows
// no more than how long renders take has fewer.
func (r Renders) Optimum(delay float64) float64 {
	d := newProgramme(r)
	low, high := 1e-6, 1e6 // the price of a second of delay, in polls
	dear, cheap := d.solve(high), d.solve(low)
	for range 50 {
		price := math.Sqrt(low * high)
		if c := d.solve(price); c.Delay > delay {
			low, cheap = price, c
		} else {
			high, dear = price, c
		}
	}
	if cheap.Delay-dear.Delay < 1e-9 {
		return dear.Polls
	}
	// Between two neighbours on the frontier a coin may be tossed.
	return dear.Polls + (cheap.Polls-dear.Polls)*(delay-dear.Delay)/(cheap.Delay-dear.Delay)
}

// A programme finds the best plan over a fine even grid.
type programme struct {
	at, ready, sum []float64 // sum: of ready times, weighted
	cost           []float64
	next           []int
}

const fine = 3000 // points of the grid

func newProgramme(r Renders) *programme {
	end := r.longest()
	for r.Ready(end) < 1-1e-6 {
		end *= 1.1
	}
	d := &programme{}
	for i := range fine {
		t := end * float64(i) / (fine - 1)
		d.at, d.ready = append(d.at, t), append(d.ready, r.Ready(t))
		d.sum = append(d.sum, 0)
		if i > 0 {
			d.sum[i] = d.sum[i-1] + (d.ready[i]-d.ready[i-1])*(t+d.at[i-1])/2
		}
	}
	d.cost, d.next = make([]float64, fine), make([]int, fine)
	return d
}

// solve returns what the plan costs that is the best one at this price of delay. The best next poll never
// comes earlier for a later last one, so what is left to try is little.
func (d *programme) solve(price float64) Cost {
	last := fine - 1
	d.next[last], d.cost[last] = last, 0
	for i := last - 1; i >= 0; i-- {
		d.cost[i] = math.Inf(1)
		for j := i + 1; j <= d.next[i+1]; j++ {
			cost := 1 - d.ready[i] + price*(d.at[j]*(d.ready[j]-d.ready[i])-d.sum[j]+d.sum[i]) + d.cost[j]
			if cost < d.cost[i] {
				d.cost[i], d.next[i] = cost, j
			}
		}
	}
	var c Cost
	for i := 0; i < last; i = d.next[i] {
		j := d.next[i]
		c.Polls += 1 - d.ready[i]
		c.Delay += d.at[j]*(d.ready[j]-d.ready[i]) - d.sum[j] + d.sum[i]
	}
	return c
}
