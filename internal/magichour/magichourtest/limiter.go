package magichourtest

import "time"

// A limiter is a bucket of calls, which is full at the start.
type limiter struct {
	spent float64 // calls that are missing in the bucket
	at    time.Time
}

// take takes a call out of the bucket, if there is one.
func (l *limiter) take(o Options) bool {
	if o.Rate <= 0 {
		return true
	}
	now := o.Now()
	l.spent = max(0, l.spent-o.Rate*now.Sub(l.at).Seconds())
	l.at = now
	if l.spent+1 > o.RateBurst {
		return false
	}
	l.spent++
	return true
}
