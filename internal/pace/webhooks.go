package pace

// Webhooks are how many renders have ended of late, and of how many of them a webhook has told. The zero
// Webhooks tell of none.
type Webhooks struct{ Ended, Heard float64 }

// WebhookMemory is how many renders Webhooks remember: few, so that polls come soon when webhooks stop.
const WebhookMemory = 60

const (
	doubtful  = 0.3   // renders that count as not told of, whatever came
	leastLost = 0.004 // what always came may still stop
)

// Lost is the share of renders that no webhook tells of, as far as is known: 1 without webhooks.
func (w Webhooks) Lost() float64 {
	return min(max((doubtful+w.Ended-w.Heard)/(doubtful+w.Ended), leastLost), 1)
}

// caution is the share of lost webhooks that a plan believes in. Delays of which no more than one in twenty is long
// may be what they like; with more lost ones than that, the polls between stay as close as it takes for the
// slowest twentieth of all delays to be no worse than without webhooks.
func (w Webhooks) caution() float64 {
	lost := w.Lost()
	closeness := (1 - slowest/lost) / (1 - slowest) // as a part of how close polls are without webhooks
	if closeness <= 0 {
		return lost
	}
	return max(lost, closeness*closeness) // their closeness goes with the root
}

const slowest = 0.05

// End puts a render into account that has ended, as the store does for the whole fleet.
func (w *Webhooks) End(heard bool) {
	const kept = 1 - 1.0/WebhookMemory
	w.Ended, w.Heard = w.Ended*kept+1, w.Heard*kept
	if heard {
		w.Heard++
	}
}
