package pace_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/internal/pace/pacetest"
)

func follow(p *pace.Plan) func(float64) float64 {
	return func(age float64) float64 { return p.Next(time.Duration(age * 1e9)).Seconds() }
}

func score(r pacetest.Renders, c pacetest.Cost) (opt, fixed float64) {
	_, f := r.EveryAt(c.Delay)
	return c.Polls / r.Optimum(c.Delay), c.Polls / f.Polls
}

func TestExplore(t *testing.T) {
	for _, typical := range []float64{5, 51, 174, 772} {
		aim := pace.Aim{Least: time.Second, Lost: 1}
		if typical > 50 {
			aim.Least = 2 * time.Second
		}
		for _, off := range []float64{1, 1 / 1.5, 1.5, 0.33, 3} {
			for _, sigma := range []float64{0.3, 0.5, 0.8} {
				r := pacetest.Renders{Median: typical * off, Sigma: sigma}
				tt := time.Duration(typical * 1e9)
				p := pace.NewPlan(tt, &pace.Picture{}, aim)
				c := r.Follow(follow(p))
				o, x := score(r, c)
				line := fmt.Sprintf("typ %5.0f off %.2f sig %.1f prior: %5.2f polls %6.2fs  opt %.2f fixed %.2f |", typical, off, sigma, c.Polls, c.Delay, o, x)
				f := &pacetest.Fleet{Typical: tt, Aim: aim, Random: rand.New(rand.NewPCG(1, 2)), Stale: 5}
				n := 0
				for _, m := range []int{10, 40, 150, 800} {
					run := f.Run(r, m)
					n += m
					o1, x1 := score(r, run)
					c = r.Follow(follow(f.Plan()))
					o, _ := score(r, c)
					line += fmt.Sprintf(" n%d run %.2f/%.2f plan %.2f (%.2f p, %.2fs)|", n, o1, x1, o, c.Polls, c.Delay)
				}
				t.Log(line)
			}
		}
	}
}

func BenchmarkNewPlan(b *testing.B) {
	var p pace.Picture
	for i := 40; i < 60; i++ {
		p[i] = 10
	}
	for b.Loop() {
		pace.NewPlan(50*time.Second, &p, pace.Aim{Least: 2 * time.Second, Lost: 1})
	}
}
