//go:build race

package pipeline

// Under the race detector a run takes five times as long, and finds races after a few: make test runs
// the enumeration once with it, in part, and once without it, whole.
const (
	stride       = 7 // of the numbers of the calls
	pairsUsually = 30
	largeFile    = 256 << 20
)
