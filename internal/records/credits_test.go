package records

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

var today = Budget{Name: "shop", Day: "2026-11-25"}

// TestReserve: each purchase is reserved for once, and what a job has cost before counts on.
func TestReserve(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		reserve := func(job string, epoch, credits, left int, want bool) {
			t.Helper()
			got, ok, err := s.Reserve(t.Context(), today, job, epoch, credits, 100)
			if err != nil || got != left || ok != want {
				t.Errorf("%s at %d: got %d, %t, %v, want %d, %t", job, epoch, got, ok, err, left, want)
			}
		}
		settle := func(c Cost, spent int) {
			t.Helper()
			if err := s.Settle(t.Context(), today, c); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Spent(t.Context(), today); err != nil || got != spent {
				t.Errorf("after %+v: got %d, %v, want %d", c, got, err, spent)
			}
		}
		reserve("a", 1, 60, 40, true)
		reserve("a", 1, 60, 40, true) // the same purchase
		reserve("b", 1, 41, 40, false)
		reserve("free", 1, 0, 40, true)
		settle(Cost{Job: "nobodys", Epoch: 1, Credits: 9}, 60)
		settle(Cost{Job: "a", Epoch: 1, Credits: 20}, 20)
		settle(Cost{Job: "a", Epoch: 1, Credits: 30, Final: true}, 30)
		settle(Cost{Job: "a", Epoch: 1, Credits: 20}, 30) // by somebody who has looked earlier
		reserve("a", 2, 60, 10, true)                     // bought again
		settle(Cost{Job: "a", Epoch: 1, Credits: 0, Final: true}, 90)
		settle(Cost{Job: "a", Epoch: 2, Credits: 80, Final: true}, 110)
		reserve("c", 1, 1, 0, false)
		reserve("free2", 1, 0, 0, true)
		reserve("a", 2, 1, 0, false) // of a job whose record has expired meanwhile
		if got, err := s.Spent(t.Context(), Budget{Name: "shop", Day: "2026-11-26"}); err != nil || got != 0 {
			t.Errorf("the next day: got %d, %v", got, err)
		}
	})
}

// TestPrice: it rises at once and falls by and by, and is its caller's own.
func TestPrice(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		for i, step := range []struct {
			credits, want int
			final         bool
		}{{20, 20, false}, {100, 100, true}, {20, 80, true}, {20, 65, true}, {20, 65, false}, {0, 65, true}} {
			job := fmt.Sprint("j", i)
			if _, _, err := s.Reserve(t.Context(), today, job, 1, 0, 1000); err != nil {
				t.Fatal(err)
			}
			if err := s.Settle(t.Context(), today, Cost{Job: job, Operation: "face-swap", Epoch: 1, Credits: step.credits, Final: step.final}); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Price(t.Context(), today, "face-swap"); err != nil || got != step.want {
				t.Errorf("after %d: got %d, %v, want %d", step.credits, got, err, step.want)
			}
		}
		if got, err := s.Price(t.Context(), Budget{Name: "rival", Day: today.Day}, "face-swap"); err != nil || got != 0 {
			t.Errorf("another's: got %d, %v", got, err)
		}
	})
}

// TestReserveAtOnce: 50 at a time, by two stores over a real Redis, get the 10 that there are.
func TestReserveAtOnce(t *testing.T) {
	t.Parallel()
	addr := testservers.Redis(t)
	var stores []*Store
	for range 2 {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		defer func() { _ = rdb.Close() }()
		stores = append(stores, New(rdb))
	}
	var had atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for range 3 { // repetitions get no more
				if _, ok, err := stores[i%2].Reserve(t.Context(), today, fmt.Sprint("j", i), 1, 1, 10); err != nil {
					t.Error(err)
				} else if !ok {
					return
				}
			}
			had.Add(1)
		})
	}
	all.Wait()
	if had.Load() != 10 {
		t.Errorf("%d of 50 have a credit of 10", had.Load())
	}
	if got, err := stores[0].Spent(t.Context(), today); err != nil || got != 10 {
		t.Errorf("spent: got %d, %v", got, err)
	}
}
