package pipeline

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestPairsOfFaults samples pairs of faults, and ways to go on after them. HOURGLASS_PAIRS says how
// many, and HOURGLASS_SEED replays: the seed and the number of a pair say all about it.
func TestPairsOfFaults(t *testing.T) {
	t.Parallel()
	seed := setting(t, "HOURGLASS_SEED", uint64(time.Now().UnixNano()))
	pairs := setting(t, "HOURGLASS_PAIRS", pairsUsually)
	t.Logf("HOURGLASS_SEED=%d", seed)
	var all tally
	t.Run("of", func(t *testing.T) {
		told := tales()
		calls := make([]map[layer]int, len(told))
		for i, tale := range told {
			calls[i] = tale.tell(t, recovery{}).calls
		}
		for n := range pairs {
			t.Run(strconv.FormatUint(n, 10), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, n)) //nolint:gosec // a seed that replays
				i := r.IntN(len(told))
				how, first, second := anyRecovery(r), anyFault(r, calls[i]), anyFault(r, calls[i])
				defer func() {
					if t.Failed() {
						t.Logf("with HOURGLASS_SEED=%d", seed)
					}
				}()
				all.count(told[i].tell(t, how, first, second))
			})
		}
	})
	t.Logf("%d pairs: %s", pairs, all.String())
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// anyFault is one at any call; a failure makes more calls than a job without one has.
func anyFault(r *rand.Rand, calls map[layer]int) fault {
	total := 0
	for _, l := range layers() {
		total += calls[l]
	}
	at := r.IntN(total)
	for _, l := range layers() {
		if at < calls[l] {
			return fault{l, 1 + r.IntN(calls[l]*3/2), kinds()[r.IntN(len(kinds()))]}
		}
		at -= calls[l]
	}
	panic("no call has this number")
}

func anyRecovery(r *rand.Rand) recovery {
	coin := func() bool { return r.IntN(2) == 0 }
	how := recovery{atOnce: coin(), sweeps: coin(), retained: coin(), again: coin()}
	how.late = !how.atOnce && coin()
	return how
}
