package pacetest

import "testing"

// TestOptimum: the numbers that everything else is measured by.
func TestOptimum(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sigma, want float64 }{{0.3, 0.49}, {0.5, 0.71}, {0.8, 0.90}} {
		r := Renders{Median: 100, Sigma: c.sigma}
		for _, delay := range []float64{1, 2.5, 5} {
			_, fixed := r.EveryAt(delay)
			t.Logf("sigma %v delay %v: fixed %.2f polls, optimum %.2f, ratio %.3f (want %v)", c.sigma, delay, fixed.Polls, r.Optimum(delay), r.Optimum(delay)/fixed.Polls, c.want)
		}
	}
}
