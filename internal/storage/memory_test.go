package storage

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
)

// waits reports whether a take does not come back by itself.
func waits(t *testing.T, m *memory, n int64) (got <-chan []byte) {
	t.Helper()
	c := make(chan []byte, 1)
	go func() {
		buffer, err := m.take(t.Context(), n)
		if err != nil {
			t.Error(err)
		}
		c <- buffer
	}()
	synctest.Wait()
	return c
}

func mustTake(t *testing.T, m *memory, n int64) []byte {
	t.Helper()
	select {
	case buffer := <-waits(t, m, n):
		return buffer
	default:
		t.Fatalf("%d bytes: waits, with %d of %d in use", n, m.used, m.bound)
		return nil
	}
}

func TestMemoryIsGivenInTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(16 * mib)
		first, second := mustTake(t, m, 8*mib), mustTake(t, m, 8*mib)
		large, small := waits(t, m, 8*mib), waits(t, m, 1)
		m.give(first[:10]) // as a shorter part does
		synctest.Wait()
		select {
		case first = <-large:
		default:
			t.Fatal("the first who asked still waits")
		}
		if len(small) != 0 {
			t.Error("more was given than there is")
		}
		m.give(second)
		m.give(<-small)
		m.give(first)
		if m.used != 0 || m.kept != 0 || len(m.free) != 0 {
			t.Errorf("nobody copies, and %d bytes are in use, %d are kept", m.used, m.kept)
		}
	})
}

// A large request is not overtaken for ever by small ones that would fit.
func TestMemoryIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(16 * mib)
		held := []([]byte){mustTake(t, m, 8*mib), mustTake(t, m, mib), mustTake(t, m, 1)}
		large := waits(t, m, 8*mib)
		small := waits(t, m, 1)
		if len(small) != 0 {
			t.Error("a small request has overtaken a large one")
		}
		m.give(held[0])
		m.give(<-large)
		m.give(<-small)
	})
}

func TestMemoryOfOneWhoWaitsNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(16 * mib)
		held := []([]byte){mustTake(t, m, 8*mib), mustTake(t, m, 4*mib)}
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := m.take(ctx, 8*mib)
			ended <- err
		}()
		synctest.Wait()
		behind := waits(t, m, mib)
		why := errors.New("why")
		cancel(why)
		synctest.Wait()
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("got %v, want the reason", err)
		}
		if len(behind) != 1 {
			t.Fatal("who stood behind still waits, and there is room")
		}
		m.give(<-behind)
		m.give(held[0])
		m.give(held[1])
		if m.used != 0 || m.waiting.Len() != 0 {
			t.Errorf("%d bytes are lost, %d wait", m.used, m.waiting.Len())
		}
	})
}

func TestMemoryRefusesWhatItNeverHas(t *testing.T) {
	t.Parallel()
	m := newMemory(LeastCopyMemory)
	if _, err := m.take(t.Context(), 8*mib+1); err == nil {
		t.Error("got more than half: then a part that is read and one that is sent do not fit")
	}
}

// Many at once, of all sizes: never more than the bound, kept ones included, and all get their turn.
func TestMemoryBound(t *testing.T) {
	t.Parallel()
	m := newMemory(16 * mib)
	var all sync.WaitGroup
	for worker := range 8 {
		random := rand.New(rand.NewPCG(uint64(worker), 0)) //nolint:gosec // repeatable is what is wanted
		all.Go(func() {
			for range 200 {
				n := random.Int64N(int64(64<<10) << random.IntN(8))
				buffer, err := m.take(t.Context(), n)
				if err != nil || int64(len(buffer)) != n {
					t.Errorf("got %d bytes, %v; want %d", len(buffer), err, n)
					return
				}
				m.mu.Lock()
				if m.used > m.bound || m.used+m.kept > m.bound {
					t.Errorf("%d bytes in use and %d kept, of %d", m.used, m.kept, m.bound)
				}
				m.mu.Unlock()
				for i := range buffer {
					if i%4096 == 0 {
						buffer[i] = byte(worker)
					}
				}
				m.give(buffer)
			}
		})
	}
	all.Wait()
	if m.used != 0 || m.kept != 0 {
		t.Errorf("nobody copies, and %d bytes are in use, %d are kept", m.used, m.kept)
	}
}

// A request that was answered early may read on: it gets an error, not the bytes of another copy.
func TestLentBodyIsTakenBack(t *testing.T) {
	t.Parallel()
	data := []byte("first")
	body, _ := lend(t.Context(), data)
	p := make([]byte, 3)
	if n, err := body.Read(p); n != 3 || err != nil || string(p) != "fir" {
		t.Fatalf("got %q, %v", p[:n], err)
	}
	if _, err := body.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	body.takeBack()
	copy(data, "other")
	if n, err := body.Read(p); n != 0 || !errors.Is(err, errTakenBack) {
		t.Errorf("read after it was taken back: got %d, %v", n, err)
	}
	if n, err := body.writeTo(io.Discard, 5); n != 0 || !errors.Is(err, errTakenBack) {
		t.Errorf("written after it was taken back: got %d, %v", n, err)
	}
	if _, err := body.Seek(0, 0); !errors.Is(err, errTakenBack) {
		t.Errorf("seek after it was taken back: got %v", err)
	}
}
