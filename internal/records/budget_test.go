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
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a simulation
	began := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	heap.Init(&all)
	for all.Len() > 0 && all[0].at < end {
		c := heap.Pop(&all).(caller) //nolint:forcetypeassert // it holds nothing else
		m.SetTime(began.Add(c.at))
		wait, err := s.AskBudget(t.Context(), rate, c.lane, c.calls, c.name)
		if err != nil {
			t.Fatal(err)
		}
		asked++
		if wait == 0 {
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
	burst := math.Max(2, 0.6*rate) + math.Max(2, 0.4*rate)
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
		for _, lane := range []Lane{Polls, Others} {
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
	t.Run("each lane has its share when both are full", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		out, asked := simulate(t, s, m, rate, append(herd(Polls, 1500, 1, 0), herd(Others, 750, 1, 0)...), time.Minute)
		checkNeverMore(t, rate, out)
		polls, others := count(out, Polls, 0, 15*time.Second), count(out, Others, 0, 15*time.Second)
		t.Logf("%d polls and %d others in 15 s, asked %d times", polls, others, asked)
		if polls < 810 || others < 540 {
			t.Errorf("in 15 s %d polls and %d others, want nearly 900 and 600", polls, others)
		}
	})
	t.Run("one who comes late to a full house is not starved", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		all := append(herd(Polls, 2000, 1, 0), herd(Others, 200, 2, 5*time.Second)...)
		out, _ := simulate(t, s, m, rate, all, 3*time.Minute)
		checkNeverMore(t, rate, out)
		if got := count(out, Others, 5*time.Second, 16*time.Second); got < 360 {
			t.Errorf("%d calls of the other lane within 11 s of its coming, want at least 360", got)
		}
	})
	t.Run("a fleet that was away comes back with nothing saved up", func(t *testing.T) {
		t.Parallel()
		s, m := newBudget(t)
		all := herd(Others, 1000, 1, 0)
		for i := range all {
			m.SetTime(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
			if i >= 100 {
				if _, err := s.AskBudget(t.Context(), rate, Others, 1, all[i].name); err != nil {
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
			all = append(all, herd(Lane(rapid.IntRange(1, 2).Draw(t, "lane")), n, calls, at)...)
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
			m.SetTime(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
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
			out, _ := simulate(t, s, m, rate, append(herd(Others, 300, 1, 0), herd(Polls, 300, 1, time.Second)...), 5*time.Minute)
			if out[0].at < 7*time.Second {
				t.Errorf("a call %s after the brake, which is for 7 s", out[0].at)
			}
			if first := count(out, Polls, 0, 9*time.Second) + count(out, Others, 0, 9*time.Second); first == 0 || first > 20 {
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
