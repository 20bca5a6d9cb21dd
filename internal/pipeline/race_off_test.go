//go:build !race

package pipeline

// Without the race detector every single fault is injected.
const (
	stride       = 1
	pairsUsually = 200
)
