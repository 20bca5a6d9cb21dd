package pace

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Trade is the mean delay between ready and noticed that is accepted to spare requests: a time, or a share
// of how long the operation usually takes. The zero Trade is 3%.
type Trade struct {
	delay time.Duration
	share float64
}

// shortest is the delay that a share never goes below: more polls would help nobody.
const shortest = 1500 * time.Millisecond

const usualShare = 0.03

// ParseTrade reads a duration such as 2s or a percentage such as 3%.
func ParseTrade(text string) (Trade, error) {
	if number, isShare := strings.CutSuffix(text, "%"); isShare {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent > 0 && percent <= 100) {
			return Trade{}, fmt.Errorf("%q: want more than 0%% and at most 100%%", text)
		}
		return Trade{share: percent / 100}, nil
	}
	delay, err := time.ParseDuration(text)
	if err != nil || delay < leastTrade || delay > mostTrade {
		return Trade{}, fmt.Errorf("%q: want a percentage of the usual render time such as 3%%, or a duration from %s to %s", text, leastTrade, mostTrade)
	}
	return Trade{delay: delay}, nil
}

const (
	leastTrade = 100 * time.Millisecond
	mostTrade  = time.Hour
)

// wanted is the delay for an operation that usually takes so long.
func (t Trade) wanted(usual time.Duration) time.Duration {
	if t.delay > 0 {
		return t.delay
	}
	share := t.share
	if share == 0 {
		share = usualShare
	}
	return max(time.Duration(share*float64(usual)), shortest)
}
