package records

import (
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// onEach runs a test against miniredis, for speed, and against a real Redis and a real cluster, for the truth.
func onEach(t *testing.T, test func(t *testing.T, s *Store, forward func(time.Duration))) {
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		m := miniredis.RunT(t)
		now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		m.SetTime(now)
		rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
		t.Cleanup(func() { _ = rdb.Close() })
		test(t, New(rdb), func(d time.Duration) {
			now = now.Add(d)
			m.SetTime(now)
			m.FastForward(d)
		})
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(t)})
		t.Cleanup(func() { _ = rdb.Close() })
		test(t, New(rdb), nil)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{testservers.ClusterOfOne(t)}})
		t.Cleanup(func() { _ = rdb.Close() })
		test(t, New(rdb), nil)
	})
}

func TestSave(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		if _, _, err := s.Load(ctx, "j1"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("load before the first save: got %v, want ErrNotFound", err)
		}
		if _, err := s.Save(ctx, "j1", []byte(`{}`), "gone", 0); !errors.Is(err, ErrConflict) {
			t.Fatalf("save of a vanished record: got %v, want ErrConflict", err)
		}
		rev, err := s.Save(ctx, "j1", []byte(`{"n":1}`), Absent, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Save(ctx, "j1", []byte(`{"n":9}`), Absent, 0); !errors.Is(err, ErrConflict) {
			t.Fatalf("second creation: got %v, want ErrConflict", err)
		}
		rev2, err := s.SaveDurably(ctx, "j1", []byte(`{"n":2}`), rev)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Save(ctx, "j1", []byte(`{"n":9}`), rev, 0); !errors.Is(err, ErrConflict) {
			t.Fatalf("save at a stale revision: got %v, want ErrConflict", err)
		}
		if _, err := s.SaveDurably(ctx, "j1", []byte(`{"n":9}`), rev); !errors.Is(err, ErrConflict) {
			t.Fatalf("durable save at a stale revision: got %v, want ErrConflict", err)
		}
		data, got, err := s.Load(ctx, "j1")
		if err != nil || string(data) != `{"n":2}` || got != rev2 {
			t.Fatalf("load: got %s at %q, %v; want {\"n\":2} at %q", data, got, err, rev2)
		}
	})
}

func TestSaveTTL(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		ctx := t.Context()
		rev, err := s.Save(ctx, "j1", []byte(`{}`), Absent, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if ttl := s.rdb.PTTL(ctx, recordKey("j1")).Val(); ttl <= 0 || ttl > time.Hour {
			t.Errorf("TTL of an ended record: got %v, want up to 1h", ttl)
		}
		if _, err := s.Save(ctx, "j1", []byte(`{}`), rev, 0); err != nil {
			t.Fatal(err)
		}
		if ttl := s.rdb.PTTL(ctx, recordKey("j1")).Val(); ttl != -1 {
			t.Errorf("TTL of a reopened record: got %v, want none", ttl)
		}
	})
}

func TestClaim(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		for _, job := range []string{"j1", "j2", "j1"} {
			owner, err := s.Claim(t.Context(), "p1", job)
			if err != nil || owner != "j1" {
				t.Errorf("claim by %s: got %q, %v; want j1", job, owner, err)
			}
		}
		if err := s.ExpireClaim(t.Context(), "p1", time.Hour); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		ctx := t.Context()
		for job, d := range map[string]time.Duration{"late": -2 * time.Second, "later": -time.Second, "early": time.Hour, "done": -time.Minute} {
			if err := s.SetDeadline(ctx, job, d); err != nil {
				t.Fatal(err)
			}
		}
		seen, err := s.Deadline(ctx, "done")
		if err != nil || seen == "" {
			t.Fatalf("deadline: got %q, %v", seen, err)
		}
		if err := s.ClearDeadline(ctx, "done", seen); err != nil {
			t.Fatal(err)
		}
		if err := s.ClearDeadline(ctx, "late", seen); err != nil { // not the one that was seen
			t.Fatal(err)
		}
		if none, err := s.Deadline(ctx, "done"); err != nil || none != "" {
			t.Fatalf("deadline after it was cleared: got %q, %v", none, err)
		}
		later, err := s.Deadline(ctx, "early")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Announce(ctx, "pending", -time.Hour, "early"); err != nil { // it has a later one
			t.Fatal(err)
		}
		if got, err := s.Deadline(ctx, "early"); got != later || err != nil {
			t.Errorf("a later deadline was brought forward from %s to %s (%v)", later, got, err)
		}
		stray, err := s.Deadline(ctx, "stray")
		if err != nil || stray != "" {
			t.Fatalf("got %q, %v", stray, err)
		}
		if err := s.SetDeadline(ctx, "stray", -2*time.Hour); err != nil {
			t.Fatal(err)
		}
		if stray, err = s.Deadline(ctx, "stray"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Announce(ctx, "pending", 2*time.Hour, "stray"); err != nil { // Submit, with the id of the stray
			t.Fatal(err)
		}
		if err := s.ClearDeadline(ctx, "stray", stray); err != nil { // the sweeper, which saw the stray
			t.Fatal(err)
		}
		if got, err := s.Deadline(ctx, "stray"); got == "" || err != nil {
			t.Errorf("the deadline of a job just submitted was swept away (%v)", err)
		}
		if skipped, err := s.Overdue(ctx, 1, 10); err != nil || len(skipped) != 1 || skipped[0].Job != "later" {
			t.Errorf("overdue but for the first: got %v, %v", skipped, err)
		}
		if diff := cmp.Diff([]string{"late", "later"}, overdueJobs(t, s, 10)); diff != "" {
			t.Errorf("overdue (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"late"}, overdueJobs(t, s, 1)); diff != "" {
			t.Errorf("overdue, one at most (-want +got):\n%s", diff)
		}
		if forward == nil {
			return
		}
		forward(90 * time.Minute)
		if diff := cmp.Diff([]string{"late", "later", "early"}, overdueJobs(t, s, 10)); diff != "" {
			t.Errorf("overdue an hour and a half later (-want +got):\n%s", diff)
		}
	})
}

func overdueJobs(t *testing.T, s *Store, limit int) []string {
	t.Helper()
	late, err := s.Overdue(t.Context(), 0, limit)
	if err != nil {
		t.Fatal(err)
	}
	var jobs []string
	for _, o := range late {
		if o.By < 0 {
			t.Errorf("%s is overdue by %v", o.Job, o.By)
		}
		jobs = append(jobs, o.Job)
	}
	return jobs
}
