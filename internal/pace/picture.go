// Package pace decides when to ask whether a render is ready: as seldom as the wanted delay allows. It
// learns how long the renders of an operation take from what polls find, and places the next poll where
// it does most good.
//
// Nothing here speaks to anybody: a Picture is numbers, a Plan is made of it, and both are pure.
package pace

import (
	"math"
	"time"
)

// A Picture is how long the latest renders of an operation took: how many of them ended in each bucket of
// time, old ones counting less. The zero Picture has seen none.
type Picture [Buckets]float64

// Buckets are even on the logarithm of time: 0.5 s to 29 h, each an eighth longer than the one before.
const (
	Buckets     = 98
	perE        = 8.0 // buckets in a factor of e
	firstBucket = 0.5 // seconds, where the first one begins
)

// Seen is how many renders the picture holds.
func (p *Picture) Seen() float64 {
	sum := 0.0
	for _, n := range p {
		sum += n
	}
	return sum
}

// begins is where a bucket begins, in seconds.
func begins(bucket int) float64 {
	if bucket <= 0 {
		return 0 // the first one takes all that is shorter
	}
	return firstBucket * math.Exp(float64(bucket)/perE)
}

// middle is the middle of a bucket, in seconds.
func middle(bucket int) float64 { return firstBucket * math.Exp((float64(bucket)+0.5)/perE) }

// bucketOf is the bucket that a time in seconds falls into.
func bucketOf(seconds float64) int {
	if seconds <= firstBucket {
		return 0
	}
	return min(int(perE*math.Log(seconds/firstBucket)), Buckets-1)
}

// A Part is what one render adds to a bucket; the parts of a render are 1 together.
type Part struct {
	Bucket int
	Share  float64
}

// leastPart is not worth a line in Redis.
const leastPart = 0.02

// Parts returns what a render adds to the picture that was not ready at one age and was at another. When
// between the two it got ready nobody knows; the plan's own picture says how likely each moment is. So
// a picture does not come to believe that renders get ready just when somebody asks.
func (p *Plan) Parts(unready, ready time.Duration) []Part {
	from, to := max(unready.Seconds(), 0), ready.Seconds()
	first, last := bucketOf(from), bucketOf(to)
	whole := p.before(to) - p.before(from)
	if first >= last || whole < 1e-9 {
		return []Part{{last, 1}}
	}
	var parts []Part
	sum := 0.0
	for b := first; b <= last; b++ {
		share := (p.before(min(begins(b+1), to)) - p.before(max(begins(b), from))) / whole
		if share >= leastPart {
			parts = append(parts, Part{b, share})
			sum += share
		}
	}
	if sum == 0 {
		return []Part{{last, 1}}
	}
	for i := range parts {
		parts[i].Share /= sum
	}
	return parts
}

// Memory is how many renders a picture remembers: each new one takes a part of all others. But it forgets no faster
// than in Lifetime: of renders that go on side by side the shortest end first, and of a thousand that began together
// only the longest would be remembered.
const Memory = 80

// Lifetime is in how long a picture forgets most of what it knows of an operation that usually takes so long.
func Lifetime(typical time.Duration) time.Duration { return 10 * typical }

// Kept is the share that stays of all others when a render is added so long after the one before, as the store has it.
func Kept(since, lifetime time.Duration) float64 {
	return max(1-1.0/Memory, math.Exp(-since.Seconds()/lifetime.Seconds()))
}

// Fade leaves so large a share of what the picture holds.
func (p *Picture) Fade(kept float64) {
	for b := range p {
		p[b] *= kept
	}
}

// Add puts a render into the picture, as the store does for the whole fleet.
func (p *Picture) Add(parts []Part) {
	for _, part := range parts {
		p[part.Bucket] += part.Share
	}
}
