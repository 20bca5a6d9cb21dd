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

// What is believed before anything is seen. The published median may be wrong, and nothing is published of
// how far times scatter: so the guess is wide, and a part of it wider still. It counts as much as so
// many renders, and the widest part stays for good: it costs little, and finds what has changed.
const (
	guessSpread = 0.6 // standard deviation of the logarithm
	guessCounts = 3
	wideSpread  = 1.6
	wideShare   = 0.03
)

// A curve is the share of renders that are believed to be ready at each age of the grid.
type curve [gridSize]float64

// believe joins the guess and what was seen.
func believe(typical time.Duration, seen *Picture) *curve {
	var c curve
	n := seen.Seen()
	counted := (1 - wideShare) * n / (n + guessCounts)
	guessed := (1 - wideShare) * guessCounts / (n + guessCounts)
	c.add(guessed, typical.Seconds(), guessSpread)
	if n > 0 {
		blur := blurOf(n)
		for b, weight := range seen {
			if weight > 0 {
				c.add(counted*weight/n, firstBucket*math.Exp((float64(b)+0.5)/perE), blur)
			}
		}
	}
	wide := typical.Seconds()
	if n > 0 {
		wide = math.Exp((guessCounts*math.Log(wide) + n*math.Log(seen.median())) / (guessCounts + n))
	}
	c.add(wideShare, wide, wideSpread)
	return &c
}

// blurOf is how far each render that was seen speaks for times around its own: ever less, the more were
// seen.
func blurOf(n float64) float64 { return max(0.3*math.Pow(n, -0.2), 0.5/perE) }

// median is the middle of what was seen, in seconds.
func (p *Picture) median() float64 {
	half := p.Seen() / 2
	for b, n := range p {
		if half -= n; half <= 0 {
			return firstBucket * math.Exp((float64(b)+0.5)/perE)
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
