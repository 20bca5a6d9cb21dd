//go:build !race

package pipeline

// Without the race detector every single fault is injected, and a large file is large.
const (
	stride       = 1
	pairsUsually = 200
	largeFile    = 10 << 30
)
