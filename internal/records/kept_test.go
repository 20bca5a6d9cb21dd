package records

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
)

func sighting(job, token, project string) Sighting {
	return Sighting{Job: job, Token: token, Kind: "video", Project: project}
}

func TestSightings(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		a, again, other := sighting("j1", "aaa", "p/1~x"), sighting("j1", "bbb", "p2"), sighting("j1.x", "ccc", "p3")
		for _, seen := range []Sighting{a, other, again, a, sighting("j10", "ddd", "p4"), sighting("j", "eee", "p5")} {
			if err := s.Keep(ctx, seen); err != nil {
				t.Fatal(err)
			}
		}
		kept := func(job string) []Sighting {
			t.Helper()
			found, err := s.Kept(ctx, job)
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		if diff := cmp.Diff([]Sighting{a, again}, kept("j1")); diff != "" {
			t.Errorf("kept of j1 (-want +got):\n%s", diff)
		}
		if got := kept("nobody"); len(got) != 0 {
			t.Errorf("kept of nobody: %v", got)
		}
		for range 2 {
			if err := s.Drop(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]Sighting{again}, kept("j1")); diff != "" {
			t.Errorf("after one was dropped (-want +got):\n%s", diff)
		}
		if due, err := s.DueSightings(ctx, 10); err != nil || len(due) != 0 {
			t.Errorf("due at once: %v, %v", due, err)
		}
		if err := s.rdb.ZAdd(ctx, sightings[2], redis.Z{Score: 1, Member: again.String()}).Err(); err != nil {
			t.Fatal(err)
		}
		for _, want := range [][]Sighting{{again}, nil} { // once, to one worker
			if due, err := s.DueSightings(ctx, 10); err != nil || !cmp.Equal(want, due) {
				t.Errorf("due: got %v, %v; want %v", due, err, want)
			}
		}
		for _, key := range sightings {
			if n := s.rdb.ZCard(ctx, key).Val(); n != 4 {
				t.Errorf("%s holds %d, want 4", key, n)
			}
			if ttl := s.rdb.PTTL(ctx, key).Val(); ttl <= 0 || ttl > keptFor {
				t.Errorf("%s lives for %v", key, ttl)
			}
		}
	})
}

// TestSightingsAreBounded: of too many the youngest stay.
func TestSightingsAreBounded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		for i := range 5 {
			if forward != nil {
				forward(time.Second)
			}
			if err := s.keep(t.Context(), sighting("j", "a", fmt.Sprint("p", i)), 3); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Kept(t.Context(), "j")
		if diff := cmp.Diff([]Sighting{sighting("j", "a", "p2"), sighting("j", "a", "p3"), sighting("j", "a", "p4")}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// TestSightingsAreLookedAtEverMoreRarely, and forgotten after a day, however often they come.
func TestSightingsAreLookedAtEverMoreRarely(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		if forward == nil {
			t.Skip("only the clock of miniredis can be moved")
		}
		ctx, seen := t.Context(), sighting("j", "a", "p")
		var looks []time.Duration
		for age := time.Duration(0); age <= keptFor+2*time.Hour; age += 15 * time.Second {
			if age < keptFor-time.Hour {
				if err := s.Keep(ctx, seen); err != nil { // a duplicate
					t.Fatal(err)
				}
			}
			due, err := s.DueSightings(ctx, 10)
			if err != nil {
				t.Fatal(err)
			}
			if len(due) > 0 {
				looks = append(looks, age)
			}
			forward(15 * time.Second)
		}
		if len(looks) < 25 || len(looks) > 35 || looks[0] != 15*time.Second {
			t.Errorf("looked at when it was %v old", looks)
		}
		if left, err := s.Kept(ctx, "j"); err != nil || len(left) != 0 {
			t.Errorf("kept after a day: %v, %v", left, err)
		}
	})
}

func TestOwner(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		if owner, err := s.Owner(t.Context(), "p1"); err != nil || owner != "" {
			t.Errorf("before it is claimed: %q, %v", owner, err)
		}
		if _, err := s.Claim(t.Context(), "p1", "j1"); err != nil {
			t.Fatal(err)
		}
		if owner, err := s.Owner(t.Context(), "p1"); err != nil || owner != "j1" {
			t.Errorf("after it is claimed: %q, %v", owner, err)
		}
	})
}

func TestWake(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		woken := func() bool {
			t.Helper()
			is, err := s.Woken(t.Context(), "j1")
			if err != nil {
				t.Fatal(err)
			}
			return is
		}
		if woken() {
			t.Error("woken by nobody")
		}
		if err := s.Wake(t.Context(), "j1"); err != nil {
			t.Fatal(err)
		}
		if ttl := s.rdb.TTL(t.Context(), wokenKey("j1")).Val(); ttl <= 0 {
			t.Errorf("the mark lives for ever (%v)", ttl)
		}
		if !woken() || woken() {
			t.Error("want it woken once")
		}
	})
}
