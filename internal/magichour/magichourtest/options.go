package magichourtest

import (
	"cmp"
	"log/slog"
	"strings"
	"time"
)

// DeletedAs says what a GET of a deleted project is answered with. The API does not
// document it, so clients must take both.
type DeletedAs string

// The two plausible answers.
const (
	Gone     DeletedAs = "404"      // 404 not_found
	Disabled DeletedAs = "disabled" // 200 with enabled false and no downloads
)

// Options are the settings of a [Server]. The zero value is a generous account with any
// key, published render times and playable media.
type Options struct {
	// Addr and MediaAddr are where [Server.Start] listens, host:port. Default: free ports
	// of the loopback interface.
	Addr, MediaAddr string

	// MediaURL is the public base of media URLs, for when the media host is reached by
	// another name than the one it listens on. Default: http:// and the listener's address.
	MediaURL string

	// BasePath is put before every path of the API, as the hosted mock has one
	// ("/v1/mock/magichour/magic-hour/0.75.2"). Default: none. Control stays at /_fake/.
	BasePath string

	// Key is the accepted bearer token. Empty: any token is taken, but one must be sent.
	Key string

	// Credits is the balance at the start. 0: one million. Negative: none.
	Credits int

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// TimeScale multiplies the published median render times: 0.01 is a hundred times
	// faster. Default: 1.
	TimeScale float64

	// Render replaces render times, from create to complete, by name of the operation; the
	// entry "" is for all that have none. Not scaled. An entry of 0 is complete at once.
	Render map[string]time.Duration

	// Spread is how far render times scatter around the median: the standard deviation of
	// their logarithm. 0.5 is lifelike. Default: 0, every render takes the median.
	Spread float64

	// Seed decides ids, paths and the bytes of the media: equal seeds and equal requests
	// make equal projects. Default: 0, a seed like any other.
	Seed uint64

	// OutputSize is the size of every output in bytes, seeded noise of exactly that length.
	// Default: 0, small real media that play.
	OutputSize int64

	// Rate is how many calls of the API a second are taken, after a burst of RateBurst; others are
	// answered 429, and Retry-After 1. Default: any number, and a burst of one second's worth.
	Rate, RateBurst float64

	// URLTTL is how long signed URLs live. Default: 24 hours.
	URLTTL time.Duration

	// DeletedAs is the answer for deleted projects. Default: Gone.
	DeletedAs DeletedAs

	// Behavior is that of every project that was not given another. Default: all goes well.
	Behavior Behavior

	// Webhooks says where events are sent. Default: nowhere.
	Webhooks Webhooks

	// OnDelete is asked right before a project is deleted, with nothing locked. An error is
	// recorded as a violation, and the delete takes effect all the same. Default: nobody.
	OnDelete func(project string) error

	// Log gets a line for every request. Default: nothing is logged.
	Log *slog.Logger
}

const defaultCredits = 1_000_000

func (o Options) withDefaults() Options {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.MediaAddr = cmp.Or(o.MediaAddr, "127.0.0.1:0")
	o.MediaURL = strings.TrimSuffix(o.MediaURL, "/")
	o.BasePath = strings.TrimSuffix(o.BasePath, "/")
	o.Credits = max(0, cmp.Or(o.Credits, defaultCredits))
	o.RateBurst = cmp.Or(o.RateBurst, max(1, o.Rate))
	o.TimeScale = cmp.Or(o.TimeScale, 1)
	o.URLTTL = cmp.Or(o.URLTTL, 24*time.Hour)
	o.DeletedAs = cmp.Or(o.DeletedAs, Gone)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
