package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/internal/pace/pacetest"
)

// usualScatter is the standard deviation of the logarithm of render times, where one is needed: only medians are
// published.
const usualScatter = 0.5

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// least is the shortest time between two polls, as the worker has it.
func least(kind operations.Kind) time.Duration {
	if kind == operations.Video {
		return 2 * time.Second
	}
	return time.Second
}

func fleet(op operations.Operation) *pacetest.Fleet {
	return &pacetest.Fleet{
		Typical: op.Typical, Aim: pace.Aim{Least: least(op.Kind)}, Stale: 5,
		Random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // the same at every run
	}
}

// every lets renders go by that are polled at a fixed interval.
func every(interval float64, r pacetest.Renders, renders int) pacetest.Tally {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same at every run
	var t pacetest.Tally
	var delays []float64
	for range renders {
		took := r.Draw(random.Float64(), random.Float64())
		polls := 1 + float64(int(took/interval))
		t.Polls += polls / float64(renders)
		t.Delay += (polls*interval - took) / float64(renders)
		delays = append(delays, polls*interval-took)
	}
	slices.Sort(delays)
	t.P95 = delays[len(delays)*95/100]
	return t
}

func simulate(w io.Writer, renders int) {
	compare(w, renders)
	limit(w)
	shifts(w)
	webhooks(w, renders)
	queues(w, renders)
}

// compare prints what each way of polling costs each operation.
func compare(w io.Writer, renders int) {
	pf(w, "Polls per render, and mean and p95 delay in seconds; times lognormal around the published median, sigma %v.\n\n", usualScatter)
	pf(w, "| operation | published median | official advice: 5 s, images and audio 3 s | CLI: 2 s | SDK: 0.5 s | Hourglass | optimum at that delay |\n|---|---|---|---|---|---|---|\n")
	for _, name := range []string{"ai-image-generator", "ai-image-upscaler", "ai-voice-generator", "text-to-video", "face-swap", "lip-sync", "video-to-video"} {
		op, _ := operations.Lookup(name)
		r := pacetest.Renders{Median: op.Typical.Seconds(), Sigma: usualScatter}
		advice := 5.0
		if op.Kind != operations.Video {
			advice = 3
		}
		f := fleet(op)
		f.Run(r, 200)
		ours := f.Run(r, renders)
		pf(w, "| `%s` | %v |", name, op.Typical)
		for _, t := range []pacetest.Tally{every(advice, r, renders), every(2, r, renders), every(0.5, r, renders), ours} {
			pf(w, " %.1f polls; %.1f, %.1f |", t.Polls, t.Delay, t.P95)
		}
		pf(w, " %.1f polls |\n", r.Optimum(ours.Delay))
	}
}

// limit prints how far plans are from the optimum.
func limit(w io.Writer) {
	pf(w, "\nPolls as multiples of the optimum's at the same mean delay (`face-swap`, published median 96 s). In brackets: of the fixed interval's.\n\n")
	pf(w, "| times, sigma | true median / published | optimum | nothing seen yet | after 25 renders | after 200 | after 2,000 |\n|---|---|---|---|---|---|---|\n")
	op, _ := operations.Lookup("face-swap")
	for _, sigma := range []float64{0.3, 0.5, 0.8} {
		for _, wrong := range []float64{1 / 1.5, 1, 1.5, 3} {
			r := pacetest.Renders{Median: op.Typical.Seconds() * wrong, Sigma: sigma}
			f := fleet(op)
			line := ""
			var share float64
			for _, more := range []int{0, 25, 175, 1800} {
				if more > 0 {
					f.Run(r, more)
				}
				plan := f.Plan()
				c := r.Follow(func(age float64) float64 { return plan.Next(seconds(age)).Seconds() })
				_, fixed := r.EveryAt(c.Delay)
				optimum := r.Optimum(c.Delay)
				share = optimum / fixed.Polls
				line += fmt.Sprintf(" %.2f (%.2f) |", c.Polls/optimum, c.Polls/fixed.Polls)
			}
			pf(w, "| %v | %.2f | (%.2f) |%s\n", sigma, wrong, share, line)
		}
	}
}

// shifts prints what happens when renders change under the plan.
func shifts(w io.Writer) {
	pf(w, "\nPolls as multiples of the fixed interval's at the same mean delay, in the renders after a change (96 s before it, 300 seen; the mean of 8 fleets).\n\n")
	pf(w, "| after the change | renders 1 to 20 | 21 to 100 | 101 to 400 | all 400 |\n|---|---|---|---|---|\n")
	op, _ := operations.Lookup("face-swap")
	for _, to := range []float64{0.25, 0.5, 2, 4} {
		for _, sigma := range []float64{0.3, 0.5, 0.8} {
			before, after := pacetest.Renders{Median: 96, Sigma: sigma}, pacetest.Renders{Median: 96 * to, Sigma: sigma}
			var parts [3]pacetest.Cost
			var all pacetest.Cost
			const fleets, renders = 8, 400
			for seed := range uint64(fleets) {
				f := fleet(op)
				f.Random = rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // the same at every run
				f.Run(before, 300)
				for i, n := range []int{20, 80, 300} {
					c := f.Run(after, n)
					parts[i].Polls += c.Polls / fleets
					parts[i].Delay += c.Delay / fleets
					all.Polls += c.Polls * float64(n) / renders / fleets
					all.Delay += c.Delay * float64(n) / renders / fleets
				}
			}
			pf(w, "| %v times as long, sigma %v |", to, sigma)
			for _, c := range append(parts[:], all) {
				_, fixed := after.EveryAt(c.Delay)
				pf(w, " %.2f |", c.Polls/fixed.Polls)
			}
			pf(w, "\n")
		}
	}
}

// webhooks prints what webhooks spare.
func webhooks(w io.Writer, renders int) {
	pf(w, "\nWith webhooks (sigma %v): polls per render, and mean and p95 delay in seconds; half a second is what a webhook takes here.\n\n", usualScatter)
	pf(w, "| operation | none | half are lost | a tenth is lost | all come | they stop: renders 1 to 20 | 21 to 40 |\n|---|---|---|---|---|---|---|\n")
	for _, name := range []string{"ai-image-generator", "text-to-video", "video-to-video"} {
		op, _ := operations.Lookup(name)
		r := pacetest.Renders{Median: op.Typical.Seconds(), Sigma: usualScatter}
		pf(w, "| `%s` |", name)
		var f *pacetest.Fleet
		for _, told := range []float64{0, 0.5, 0.9, 1} {
			f = fleet(op)
			f.Told = told
			f.Run(r, 200)
			t := f.Run(r, renders)
			pf(w, " %.1f polls; %.1f, %.1f |", t.Polls, t.Delay, t.P95)
		}
		f.Told = 0
		for range 2 {
			t := f.Run(r, 20)
			pf(w, " %.1f polls; %.1f |", t.Polls, t.Delay)
		}
		pf(w, "\n")
	}
}

// queues prints what it is worth to tell what is queued from what renders.
func queues(w io.Writer, renders int) {
	pf(w, "\nRenders of 51 s (`text-to-video`, sigma 0.3) that stand in a queue first, for a time drawn from an exponential distribution: polls per render; mean delay in seconds.\n\n")
	pf(w, "| mean time in the queue | told apart from rendering | not told apart |\n|---|---|---|\n")
	op, _ := operations.Lookup("text-to-video")
	r := pacetest.Renders{Median: op.Typical.Seconds(), Sigma: 0.3}
	for _, mean := range []float64{10, 60, 300} {
		pf(w, "| %v s |", mean)
		for _, blind := range []bool{false, true} {
			f := fleet(op)
			f.Blind = blind
			f.Queue = func() float64 { return f.Random.ExpFloat64() * mean }
			f.Run(r, 200)
			t := f.Run(r, renders)
			pf(w, " %.1f polls; %.1f |", t.Polls, t.Delay)
		}
		pf(w, "\n")
	}
}

func pf(w io.Writer, format string, a ...any) { _, _ = fmt.Fprintf(w, format, a...) }
