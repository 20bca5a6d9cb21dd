package records

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		rounds := func() (got int32) {
			var turns atomic.Int32
			var asked sync.WaitGroup
			for range 20 {
				asked.Go(func() {
					mine, err := s.Turn(t.Context(), "tidy", time.Hour)
					if err != nil {
						t.Error(err)
					}
					if mine {
						turns.Add(1)
					}
				})
			}
			asked.Wait()
			return turns.Load()
		}
		if got := rounds(); got != 1 {
			t.Errorf("%d of 20 got the turn, want 1", got)
		}
		if mine, err := s.Turn(t.Context(), "other", time.Hour); !mine || err != nil {
			t.Errorf("another turn: got %t, %v", mine, err)
		}
		if ttl := s.rdb.PTTL(t.Context(), "hourglass:{fleet}:tidy").Val(); ttl <= 0 || ttl > time.Hour {
			t.Errorf("the turn lasts %v, want up to 1h", ttl)
		}
		if forward == nil {
			return
		}
		if forward(59 * time.Minute); rounds() != 0 {
			t.Error("the turn came back too early")
		}
		if forward(2 * time.Minute); rounds() != 1 {
			t.Error("the turn never came back")
		}
	})
}
