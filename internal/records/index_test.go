package records

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIndex(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		ctx := t.Context()
		enter := func(state, job string) Moment {
			t.Helper()
			if forward != nil {
				forward(time.Microsecond) // the clock of miniredis stands still
			}
			at, err := s.Enter(ctx, state, job)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		exit := func(state, job string, at Moment) {
			t.Helper()
			if err := s.Exit(ctx, state, job, at); err != nil {
				t.Fatal(err)
			}
		}
		jobs := func(state string, from Moment, limit int) []string {
			t.Helper()
			entries, err := s.Latest(ctx, state, from, limit)
			if err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, e := range entries {
				ids = append(ids, e.Job)
			}
			return ids
		}
		enter("pending", "a")
		second := enter("pending", "b")
		enter("pending", "c")
		if diff := cmp.Diff([]string{"c", "b", "a"}, jobs("pending", 0, 10)); diff != "" {
			t.Errorf("the last first (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"b"}, jobs("pending", second, 1)); diff != "" {
			t.Errorf("one, from a moment on (-want +got):\n%s", diff)
		}
		left := enter("creating", "a")
		back := enter("pending", "a") // by another worker, before the first one has taken it out
		exit("pending", "a", left)
		exit("creating", "a", back)
		exit("creating", "nobody", back)
		if diff := cmp.Diff([]string{"a", "c", "b"}, jobs("pending", 0, 10)); diff != "" {
			t.Errorf("a job that came back was taken out (-want +got):\n%s", diff)
		}
		if got := jobs("creating", 0, 10); len(got) != 0 {
			t.Errorf("creating: got %v, want none", got)
		}
		if at, err := s.EnsureEntered(ctx, "pending", "c"); err != nil || at != 0 {
			t.Errorf("entered again: got %d, %v; want 0, for nothing has changed", at, err)
		}
		if at, err := s.EnsureEntered(ctx, "pending", "d"); err != nil || at == 0 {
			t.Errorf("entered anew: got %d, %v", at, err)
		}
		if diff := cmp.Diff([]string{"d", "a", "c", "b"}, jobs("pending", 0, 10)); diff != "" {
			t.Errorf("after that (-want +got):\n%s", diff)
		}
		if err := s.Clear(ctx, "pending", "d", time.Hour); err != nil || len(jobs("pending", 0, 10)) != 4 {
			t.Errorf("a young entry is cleared (%v)", err)
		}
		if err := s.Clear(ctx, "pending", "d", -time.Hour); err != nil || len(jobs("pending", 0, 10)) != 3 {
			t.Errorf("an old entry is not cleared (%v)", err)
		}
		if err := s.Forget(ctx, "pending", time.Hour); err != nil || len(jobs("pending", 0, 10)) != 3 {
			t.Errorf("the young are forgotten (%v)", err)
		}
		if err := s.Forget(ctx, "pending", -time.Hour); err != nil || len(jobs("pending", 0, 10)) != 0 {
			t.Errorf("the old are not forgotten (%v)", err)
		}
	})
}

func TestLoadAll(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		for _, job := range []string{"a", "b"} {
			if _, err := s.Save(ctx, job, []byte(`"`+job+`"`), Absent, 0); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.LoadAll(ctx, []string{"b", "nobody", "a"})
		if err != nil || len(got) != 3 || string(got[0]) != `"b"` || got[1] != nil || string(got[2]) != `"a"` {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := s.LoadAll(ctx, nil); err != nil || len(got) != 0 {
			t.Errorf("of nothing: got %q, %v", got, err)
		}
	})
}
