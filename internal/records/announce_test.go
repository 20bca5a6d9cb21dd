package records

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		old, err := s.Save(ctx, "b", []byte("old"), Absent, 0)
		if err != nil {
			t.Fatal(err)
		}
		all := []*Creation{{Job: "a", Data: []byte("new a")}, {Job: "b", Data: []byte("new b")}, {Job: "c", Data: []byte("new c")}}
		s.Create(ctx, all)
		for i, want := range []struct {
			data string
			rev  string
			err  error
		}{{"new a", all[0].Rev, nil}, {"old", old, ErrConflict}, {"new c", all[2].Rev, nil}} {
			if !errors.Is(all[i].Err, want.err) {
				t.Errorf("%s: got %v, want %v", all[i].Job, all[i].Err, want.err)
			}
			if data, rev, err := s.Load(ctx, all[i].Job); string(data) != want.data || rev != want.rev || err != nil {
				t.Errorf("%s: got %q at %q, %v; want %q at %q", all[i].Job, data, rev, err, want.data, want.rev)
			}
		}
		if _, err := s.Save(ctx, "a", []byte("newer"), all[0].Rev, 0); err != nil {
			t.Errorf("the revision of a new record is of no use: %v", err)
		}
		late, cancel := context.WithCancel(ctx)
		cancel()
		lost := []*Creation{{Job: "d", Data: []byte("d")}}
		if s.Create(late, lost); lost[0].Err == nil || errors.Is(lost[0].Err, ErrConflict) {
			t.Errorf("a write that was not sent: got %v", lost[0].Err)
		}
	})
}

func TestAnnounceMany(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		if _, err := s.Announce(ctx, "pending", -time.Minute, "b"); err != nil {
			t.Fatal(err)
		}
		entered, err := s.Announce(ctx, "pending", -time.Second, "a", "b", "c")
		if err != nil || len(entered) != 3 || entered[0] == 0 || entered[1] != 0 || entered[2] == 0 {
			t.Errorf("got %v, %v; want that b was there", entered, err)
		}
		late, err := s.Overdue(ctx, 0, 10)
		if err != nil || len(late) != 3 {
			t.Fatalf("got %v, %v; want a deadline for each", late, err)
		}
		for _, l := range late {
			if l.By > 30*time.Second {
				t.Errorf("%s has its old deadline", l.Job)
			}
		}
	})
}

// A page of a list is read by moments: jobs of one moment that are more than a page would hide all that are older.
func TestAnnouncedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		const n = 1000
		jobs := make([]string, n)
		for i := range jobs {
			jobs[i] = strconv.Itoa(i)
		}
		entered, err := s.Announce(ctx, "pending", time.Minute, jobs...)
		if err != nil || len(entered) != n {
			t.Fatalf("got %d moments, %v", len(entered), err)
		}
		listed, err := s.Latest(ctx, "pending", 0, n)
		if err != nil || len(listed) != n {
			t.Fatalf("got %d jobs, %v", len(listed), err)
		}
		for i, job := range jobs {
			if got := listed[n-1-i]; got.Job != job || got.At != entered[i] || i > 0 && got.At <= entered[i-1] {
				t.Fatalf("in place %d: got %v, want job %s at %d, later than the one before", i, got, job, entered[i])
			}
		}
		then, err := s.Announce(ctx, "pending", time.Minute, "then")
		if err != nil || then[0] < entered[n-1] {
			t.Errorf("got %v, %v; want no moment before those announced earlier: %d", then, err, entered[n-1])
		}
	})
}

func TestTaskStates(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		if err := s.rdb.HSet(t.Context(), taskKey("q", "x"), "state", "pending").Err(); err != nil {
			t.Fatal(err)
		}
		got, err := s.TaskStates(t.Context(), "q", []string{"x", "y"})
		if diff := cmp.Diff([]string{"pending", ""}, got); diff != "" || err != nil {
			t.Errorf("states (-want +got): %s%v", diff, err)
		}
	})
}

// TestCreateInAFullRedis says why nothing was written.
func TestCreateInAFullRedis(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(t)})
	defer func() { _ = rdb.Close() }()
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	all := []*Creation{{Job: "a", Data: []byte("{}")}, {Job: "b", Data: []byte("{}")}}
	New(rdb).Create(t.Context(), all)
	for _, c := range all {
		if c.Err == nil || !strings.Contains(c.Err.Error(), "is it full") {
			t.Errorf("%s: got %v", c.Job, c.Err)
		}
	}
}
