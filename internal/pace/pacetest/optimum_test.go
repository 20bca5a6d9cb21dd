package pacetest

import (
	"math"
	"testing"
)

// TestOptimum: what the optimum needs of the polls of the fixed interval at the same delay is known; everything
// else is measured by it.
func TestOptimum(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sigma, want float64 }{{0.3, 0.49}, {0.5, 0.71}, {0.8, 0.90}} {
		r := Renders{Median: 100, Sigma: c.sigma}
		_, fixed := r.EveryAt(2.5)
		if got := r.Optimum(2.5) / fixed.Polls; math.Abs(got-c.want) > 0.015 {
			t.Errorf("sigma %v: the optimum needs %.3f of the polls of the fixed interval, want %v", c.sigma, got, c.want)
		}
	}
}
