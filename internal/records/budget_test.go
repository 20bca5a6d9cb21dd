//go:build !race

// Simulations of hours: they take ten times as long under the race detector, and have nothing for it.

package records

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// A caller is a task that wants to call the API.
type caller struct {
	at    time.Duration // when it asks next
	lane  Lane
	calls int
	name  string
}

type callers []caller

func (c callers) Len() int           { return len(c) }
func (c callers) Less(i, j int) bool { return c[i].at < c[j].at }
func (c callers) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *callers) Push(x any)        { *c = append(*c, x.(caller)) } //nolint:forcetypeassert // of package heap
func (c *callers) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// A passed call has left at a time.
type passed struct {
	at    time.Duration
	lane  Lane
	calls int
}

// simulate lets callers come and come again, as Asynq brings them: at whole seconds, and a little later.
func simulate(t tester, s *Store, m *miniredis.Miniredis, rate float64, all callers, end time.Duration) (out []passed, asked int) {
	t.Helper()
	return simulateUntil(t, s, m, rate, all, end, func(time.Duration) bool { return true })
}

// simulateUntil is simulate with an API that takes a call or refuses it.
func simulateUntil(t tester, s *Store, m *miniredis.Miniredis, rate float64, all callers, end time.Duration, takes func(time.Duration) bool) (out []passed, asked int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a simulation
	heap.Init(&all)
	for all.Len() > 0 && all[0].at < end {
		c := heap.Pop(&all).(caller) //nolint:forcetypeassert // it holds nothing else
		m.SetTime(budgetNoon.Add(c.at))
		wait, err := s.AskBudget(t.Context(), rate, c.lane, c.calls, c.name)
		if err != nil {
			t.Fatal(err)
		}
		asked++
		if wait == 0 && takes(c.at) {
			out = append(out, passed{c.at, c.lane, c.calls})
			continue
		}
		c.at = (c.at + wait).Truncate(time.Second) + time.Second + time.Duration(random.IntN(450))*time.Millisecond
		heap.Push(&all, c)
	}
	return out, asked
}

func newBudget(t *testing.T) (*Store, *miniredis.Miniredis) {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	return New(rdb), m
}

func count(all []passed, lane Lane, from, to time.Duration) (n int) {
	for _, p := range all {
		if p.lane == lane && p.at >= from && p.at < to {
			n += p.calls
		}
	}
	return n
}

// checkNeverMore holds that in no time T more calls leave than the rate allows in T and a second.
func checkNeverMore(t tester, rate float64, all []passed) {
	t.Helper()
	burst := math.Max(1, 0.5*rate) + math.Max(1, 0.2*rate) + math.Max(1, 0.3*rate) + 3 // of those who owe a call
	for i := range all {
		calls := 0
		for _, p := range all[i:] {
			calls += p.calls
			if over := float64(calls) - burst - rate*(p.at-all[i].at).Seconds(); over > 0.01 {
				t.Fatalf("%d calls in %s, %.2f too many", calls, p.at-all[i].at, over)
			}
		}
	}
}

// A tester is a *testing.T or a *rapid.T.
type tester interface {
	rapid.TB
	Context() context.Context
}

func herd(lane Lane, n, calls int, at time.Duration) (all callers) {
	for i := range n {
		all = append(all, caller{at, lane, calls, fmt.Sprintf("%d/%d/%s", lane, i, at)})
	}
	return all
}

func TestBudgetShares(t *testing.T) {
	t.Parallel()
	const rate = 100.0
	t.Run("one lane alone has the whole rate", func(t *testing.T) {
		t.Parallel()
		for _, lane := range []Lane{Polls, Creates, Finishes} {
			s, m := newBudget(t)
			out, asked := simulate(t, s, m, rate, herd(lane, 1000, 1, 0), time.Minute)
			checkNeverMore(t, rate, out)
			last := out[len(out)-1].at
			t.Logf("lane %d: 1000 calls in %s, asked %d times", lane, last, asked)
			if len(out) != 1000 || last > 11*time.Second || asked > 3*1000 {
				t.Errorf("lane %d: %d calls in %s, asked %d times", lane, len(out), last, asked)
			}
		}
	})
	t.Run("each lane has its share when all are full", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		out, asked := simulate(t, s, m, rate, append(append(herd(Polls, 1500, 1, 0), herd(Creates, 750, 1, 0)...), herd(Finishes, 400, 2, 0)...), time.Minute)
		checkNeverMore(t, rate, out)
		polls, creates, finishes := count(out, Polls, 0, 15*time.Second), count(out, Creates, 0, 15*time.Second), count(out, Finishes, 0, 15*time.Second)
		t.Logf("%d polls, %d creates and %d to finish in 15 s, asked %d times", polls, creates, finishes, asked)
		if polls < 675 || creates < 270 || finishes < 405 {
			t.Errorf("in 15 s %d polls, %d creates and %d to finish, want nearly 750, 300 and 450", polls, creates, finishes)
		}
	})
	t.Run("one who comes late to a full house is not starved", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		all := append(append(herd(Polls, 2000, 1, 0), herd(Creates, 2000, 1, 0)...), herd(Finishes, 200, 2, 5*time.Second)...)
		out, _ := simulate(t, s, m, rate, all, 3*time.Minute)
		checkNeverMore(t, rate, out)
		if got := count(out, Finishes, 5*time.Second, 16*time.Second); got < 270 {
			t.Errorf("%d calls of the other lane within 11 s of its coming, want at least 270", got)
		}
	})
	t.Run("a fleet that was away comes back with nothing saved up", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		all := herd(Creates, 1000, 1, 0)
		for i := range all {
			m.SetTime(budgetNoon)
			if i >= 100 {
				if _, err := s.AskBudget(t.Context(), rate, Creates, 1, all[i].name); err != nil {
					t.Fatal(err)
				}
			}
			all[i].at = time.Hour
		}
		out, _ := simulate(t, s, m, rate, all, 2*time.Hour)
		checkNeverMore(t, rate, out)
		if last := out[len(out)-1].at; len(out) != 1000 || last > time.Hour+13*time.Second {
			t.Errorf("%d calls by %s", len(out), last)
		}
	})
}

var budgetNoon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// askAndLeave lets a herd ask once, and never come again.
func askAndLeave(t *testing.T, s *Store, m *miniredis.Miniredis, rate float64, gone callers) {
	t.Helper()
	m.SetTime(budgetNoon)
	for _, c := range gone {
		if _, err := s.AskBudget(t.Context(), rate, c.lane, c.calls, "gone "+c.name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTurnsOfThoseWhoAreGone: jobs that were canceled hold up nobody, neither in their own lane nor in the others,
// which would have what is not used of it.
func TestTurnsOfThoseWhoAreGone(t *testing.T) {
	t.Parallel()
	for _, lane := range []Lane{Polls, Creates} {
		s, m := newBudget(t)
		askAndLeave(t, s, m, 10, herd(Creates, 2000, 1, 0))
		out, _ := simulate(t, s, m, 10, herd(lane, 200, 1, 10*time.Second), time.Hour)
		checkNeverMore(t, 10, out)
		if last := out[len(out)-1].at; len(out) != 200 || last > 100*time.Second {
			t.Errorf("lane %d: %d of 200 calls by %s", lane, len(out), last)
		}
	}
	t.Run("among those who are not", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		all := herd(Creates, 1000, 1, 0)
		for i, c := range all {
			m.SetTime(budgetNoon)
			if i%10 > 0 {
				askAndLeave(t, s, m, 10, callers{c})
			} else if _, err := s.AskBudget(t.Context(), 10, Creates, 1, c.name); err != nil {
				t.Fatal(err)
			}
		}
		var here callers
		for i := 0; i < len(all); i += 10 {
			here = append(here, caller{time.Duration(i) * time.Second / 11, Creates, 1, all[i].name})
		}
		out, _ := simulate(t, s, m, 10, append(here, herd(Creates, 50, 1, 30*time.Second)...), time.Hour)
		checkNeverMore(t, 10, out)
		if late := count(out, Creates, 90*time.Second, time.Hour); len(out) != 150 || late > 20 {
			t.Errorf("%d of 150 calls, %d of them after 90 s", len(out), late)
		}
	})
}

// TestRateIsRaised: what waits for a turn that was given at a low rate goes as fast as the new one allows.
func TestRateIsRaised(t *testing.T) {
	t.Parallel()
	s, m := newBudget(t)
	all := herd(Creates, 2000, 1, 0)
	for i, c := range all {
		m.SetTime(budgetNoon)
		wait, err := s.AskBudget(t.Context(), 1, c.lane, c.calls, c.name)
		if err != nil || wait > longestWait {
			t.Fatalf("asked again after %s (%v)", wait, err)
		}
		all[i].at = time.Minute + wait
	}
	out, _ := simulate(t, s, m, 100, all, 2*time.Hour)
	checkNeverMore(t, 100, out)
	if last := out[len(out)-1].at; len(out) != 2000 || last > 7*time.Minute {
		t.Errorf("%d of 2000 calls by %s, want them by about 6 minutes, when the last one has asked again", len(out), last)
	}
}

// TestCleanupsBesideDownloads: what takes two calls has its turn among those that take one.
func TestCleanupsBesideDownloads(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{1, 5, 20} {
		s, m := newBudget(t)
		all := append(herd(Finishes, 90, 1, 0), herd(Finishes, 9, 2, 50*time.Millisecond)...)
		all = append(append(all, herd(Finishes, 180, 1, 100*time.Millisecond)...), herd(Polls, 600, 1, 0)...)
		fair := time.Duration(108 / (0.3 * rate) * float64(time.Second)) // first come, first served
		out, _ := simulate(t, s, m, rate, all, 2*fair)
		checkNeverMore(t, rate, out)
		cleanups := 0
		for _, p := range out {
			if p.calls == 2 {
				cleanups++
			}
		}
		if cleanups < 7 { // in which order those go who are late is chance
			t.Errorf("rate %v: %d of 9 cleanups by %s, %s were fair", rate, cleanups, 2*fair, fair)
		}
	}
}

// TestDebtIsPaid: calls that are made out of turn are paid by what idles first, and bind nobody for long.
func TestDebtIsPaid(t *testing.T) {
	t.Parallel()
	s, m := newBudget(t)
	out, _ := simulateUntil(t, s, m, 10, herd(Creates, 60, 1, 0), time.Hour, func(time.Duration) bool {
		if err := s.SpendBudget(t.Context(), 10, Creates, 3); err != nil {
			t.Fatal(err)
		}
		return true
	})
	if last := out[len(out)-1].at; len(out) != 60 || last > 40*time.Second {
		t.Errorf("%d of 60 creates with 3 uploads each by %s, at 10 calls a second", len(out), last)
	}
	s, m = newBudget(t)
	for at := time.Duration(0); at < 2*time.Hour; at += time.Minute {
		m.SetTime(budgetNoon.Add(at))
		if err := s.SpendBudget(t.Context(), 0.3, Creates, 40); err != nil {
			t.Fatal(err)
		}
	}
	out, _ = simulate(t, s, m, 0.3, herd(Creates, 1, 1, 2*time.Hour), 24*time.Hour)
	if late := out[0].at - 2*time.Hour; late > 3*time.Minute {
		t.Errorf("a create waited for %s for what was spent before", late)
	}
}

// TestAfterAnOutage: an API that answers 429 for a minute says nothing of how many calls it takes afterwards.
func TestAfterAnOutage(t *testing.T) {
	t.Parallel()
	const rate, outage = 20.0, time.Minute
	s, m := newBudget(t)
	out, _ := simulateUntil(t, s, m, rate, herd(Polls, 1500, 1, 0), 5*time.Minute, func(at time.Duration) bool {
		if at < time.Second || at > time.Second+outage {
			return true
		}
		if _, err := s.BrakeBudget(t.Context(), rate, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		return false
	})
	if got := count(out, Polls, outage, outage+2*time.Minute); got < 1000 {
		t.Errorf("%d calls in two minutes after the outage, of 2400 that may be", got)
	}
}

// TestClockOfAnother: after a failover to a server whose clock is behind, no pause lasts longer than one can.
func TestClockOfAnother(t *testing.T) {
	t.Parallel()
	s, m := newBudget(t)
	m.SetTime(budgetNoon)
	if _, err := s.BrakeBudget(t.Context(), 10, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	out, _ := simulate(t, s, m, 10, herd(Creates, 10, 1, -time.Hour), 0)
	if len(out) != 10 || out[9].at > 2*time.Minute-time.Hour {
		t.Errorf("%d of 10 calls left", len(out))
	}
}

// TestBrakeIsRemembered: a fleet that wants more than the API allows finds out how much that is, and does not run into it
// every few seconds.
func TestBrakeIsRemembered(t *testing.T) {
	t.Parallel()
	const limit, lasts = 10, 3 * time.Minute
	for _, rate := range []float64{0, 50} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			s, m := newBudget(t)
			m.SetTime(budgetNoon)
			if _, err := s.BrakeBudget(t.Context(), rate, time.Second); err != nil {
				t.Fatal(err)
			}
			refused, bucket, last := 0, float64(limit), time.Duration(0)
			out, asked := simulateUntil(t, s, m, rate, herd(Polls, 1500, 1, 0), lasts, func(at time.Duration) bool {
				bucket, last = min(limit, bucket+(at-last).Seconds()*limit), at
				if bucket >= 1 {
					bucket--
					return true
				}
				refused++
				if _, err := s.BrakeBudget(t.Context(), rate, 5*time.Second); err != nil {
					t.Fatal(err)
				}
				return false
			})
			t.Logf("%d calls, %d refused, asked %d times", len(out), refused, asked)
			if most := limit * int(lasts.Seconds()); len(out) < most/2 || refused > 12 || asked > 10*len(out) {
				t.Errorf("%d of %d calls, %d refused, asked %d times", len(out), most, refused, asked)
			}
		})
	}
}

// TestAnyBudget: whoever comes whenever, there are never more calls than the rate, and all come through.
func TestAnyBudget(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	rapid.Check(t, func(t *rapid.T) {
		m.FlushAll()
		rate := rapid.SampledFrom([]float64{0.5, 1, 7, 30}).Draw(t, "rate")
		var all callers
		total := 0
		for range rapid.IntRange(1, 6).Draw(t, "herds") {
			n, calls := rapid.IntRange(1, 40).Draw(t, "size"), rapid.IntRange(1, 2).Draw(t, "calls")
			at := time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond
			all = append(all, herd(Lane(rapid.IntRange(1, 3).Draw(t, "lane")), n, calls, at)...)
			total += n
		}
		for i := range all {
			all[i].name = fmt.Sprint(i)
		}
		out, _ := simulate(t, New(rdb), m, rate, all, 24*time.Hour)
		checkNeverMore(t, rate, out)
		if len(out) != total {
			t.Fatalf("%d of %d came through", len(out), total)
		}
	})
}

func TestBrake(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 100} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			s, m := newBudget(t)
			m.SetTime(budgetNoon)
			if isNew, err := s.BrakeBudget(t.Context(), rate, 7*time.Second); err != nil || !isNew {
				t.Fatal(isNew, err)
			}
			if isNew, err := s.BrakeBudget(t.Context(), rate, 2*time.Second); err != nil || isNew {
				t.Fatal("two brakes in one pause", err)
			}
			found, err := s.Holds(t.Context())
			if err != nil || !Braked(found) {
				t.Fatalf("nobody can see the brake: %v (%v)", found, err)
			}
			out, _ := simulate(t, s, m, rate, append(herd(Creates, 300, 1, 0), herd(Polls, 300, 1, time.Second)...), 5*time.Minute)
			if out[0].at < 7*time.Second {
				t.Errorf("a call %s after the brake, which is for 7 s", out[0].at)
			}
			if first := count(out, Polls, 0, 9*time.Second) + count(out, Creates, 0, 9*time.Second); first == 0 || first > 20 {
				t.Errorf("it is tried with %d calls in 2 s", first)
			}
			last := out[len(out)-1].at
			t.Logf("600 calls by %s", last)
			if len(out) != 600 || last > 70*time.Second {
				t.Errorf("%d calls by %s", len(out), last)
			}
			m.SetTime(time.Date(2026, 11, 24, 13, 0, 0, 0, time.UTC))
			if wait, err := s.AskBudget(t.Context(), rate, Polls, 1, "late"); err != nil || wait != 0 {
				t.Errorf("an hour later: wait %s (%v)", wait, err)
			}
			if found, err = s.Holds(t.Context()); err != nil || Braked(found) {
				t.Errorf("the brake stays: %v (%v)", found, err)
			}
		})
	}
}

// TestBrakeOfASlowFleet: also a fleet that makes a call a second, or fewer, pauses for as long as it is told.
func TestBrakeOfASlowFleet(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.2, 0.5, 1} {
		s, m := newBudget(t)
		m.SetTime(budgetNoon)
		if _, err := s.BrakeBudget(t.Context(), rate, 30*time.Second); err != nil {
			t.Fatal(err)
		}
		out, _ := simulate(t, s, m, rate, herd(Creates, 10, 1, 0), time.Hour)
		if len(out) != 10 || out[0].at < 30*time.Second {
			t.Errorf("at %g a second: %d calls, the first after %s of a pause of 30 s", rate, len(out), out[0].at)
		}
	}
}
