package pace

import (
	"math"
	"time"
)

// The grid of ages, in seconds, on which plans are made: 0, and then each age by one part in seventy older,
// up to somewhat more than a day.
const (
	perEGrid  = 70.0
	gridFirst = 0.25
	gridSize  = 900
)

var ages = func() (at [gridSize]float64) {
	for i := 1; i < gridSize; i++ {
		at[i] = gridFirst * math.Exp(float64(i-1)/perEGrid)
	}
	return at
}()

// place returns the point of the grid at or before an age, and how far the age is on the way to the next
// one.
func place(age float64) (i int, part float64) {
	if age >= ages[1] {
		i = min(1+int(perEGrid*math.Log(age/gridFirst)), gridSize-2)
	}
	return i, min(max((age-ages[i])/(ages[i+1]-ages[i]), 0), 1)
}

// What is believed before anything is seen: only a median is published, nothing of how far times scatter, and
// the median may be wrong. These three lognormal parts, their medians as multiples of the published one, were
// fitted so that the worst case of medians 1.5 times too low to 1.5 times too high and scatters of 0.3 to
// 0.8 costs least (docs/benchmarks.md says how close to the limit that is). They lean to the late side:
// to look too early costs polls at every render, to look too late a little delay.
//
// The guess counts as much as so many renders. Half of the widest part stays for good: it costs little, and
// finds what has changed.
const guessCounts = 2

var guess = []struct{ weight, median, spread float64 }{{0.77, 1.35, 0.40}, {0.23, 1.1, 0.78}}

var wide = struct{ weight, median, spread float64 }{0.04, 1.3, 1.45}

// A curve is the share of renders that are believed to be ready at each age of the grid.
type curve [gridSize]float64

// believe joins the guess and what was seen.
func believe(typical time.Duration, seen *Picture) *curve {
	var c curve
	n := seen.Seen()
	usual := usual(typical, seen).Seconds()
	guessed := guessCounts / (n + guessCounts) // the part of the guess, and 1 - guessed what was seen
	rare := wide.weight * (1 + guessed) / 2
	for _, g := range guess {
		c.add((1-rare)*guessed*g.weight, typical.Seconds()*g.median, g.spread)
	}
	blur := blurOf(n)
	for b, weight := range seen {
		if weight > 0 {
			c.add((1-rare)*weight/(n+guessCounts), middle(b), blur)
		}
	}
	c.add(rare, usual*wide.median, wide.spread)
	return &c
}

// usual is how long a render of the operation usually takes: the published median, and ever more the one that
// was seen.
func usual(typical time.Duration, seen *Picture) time.Duration {
	n := seen.Seen()
	if n == 0 {
		return typical
	}
	return seconds(math.Exp((guessCounts*math.Log(typical.Seconds()) + n*math.Log(seen.median())) / (guessCounts + n)))
}

// blurOf is how far each render that was seen speaks for times around its own: ever less, the more were
// seen.
func blurOf(n float64) float64 { return max(0.3*math.Pow(n, -0.2), 0.5/perE) }

// median is the middle of what was seen, in seconds.
func (p *Picture) median() float64 {
	half := p.Seen() / 2
	for b, n := range p {
		if half -= n; half <= 0 {
			return middle(b)
		}
	}
	return begins(Buckets)
}

// add adds a lognormal part.
func (c *curve) add(weight, median, spread float64) {
	for i := 1; i < gridSize; i++ {
		x := math.Log(ages[i]/median) / spread
		switch {
		case x < -6:
		case x > 6:
			c[i] += weight
		default:
			c[i] += weight * math.Erfc(-x/math.Sqrt2) / 2
		}
	}
}
