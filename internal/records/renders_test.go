package records

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestLearn: what stands in Redis is what a worker would count by itself, old renders weighing less, also
// after it was made small again.
func TestLearn(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) { testLearn(t, s) })
}

func testLearn(t *testing.T, s *Store) {
	const kept, renders = 0.5, 80 // 0.5^80 is far below what makes it small again
	want := map[int]float64{}
	for i := range renders {
		for b := range want {
			want[b] *= kept
		}
		want[i%3] += 0.25
		want[7] += 0.75
		if err := s.Learn(t.Context(), "face-swap", kept, 0, []Weight{{i % 3, 0.25}, {7, 0.75}}); err != nil {
			t.Fatal(err)
		}
	}
	learnt, err := s.Renders(t.Context(), []string{"face-swap", "text-to-video"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]float64{}
	for _, w := range learnt["face-swap"] {
		got[w.Bucket] = w.Weight
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("learnt (-want +got):\n%s", diff)
	}
	if other := learnt["text-to-video"]; len(other) > 0 {
		t.Errorf("learnt of an operation that never was: %v", other)
	}
}

// TestLearntTogether: of renders that end at the same time none is forgotten for the others, and after a lifetime they all
// are.
func TestLearntTogether(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		learn := func(bucket int, lifetime time.Duration) (first float64) {
			t.Helper()
			if err := s.Learn(t.Context(), "face-swap", 0.5, lifetime, []Weight{{bucket, 1}}); err != nil {
				t.Fatal(err)
			}
			learnt, err := s.Renders(t.Context(), []string{"face-swap"})
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range learnt["face-swap"] {
				if w.Bucket == 1 {
					first = w.Weight
				}
			}
			return first
		}
		learn(1, 24*time.Hour)
		for range 20 {
			if first := learn(2, 24*time.Hour); first < 0.99 {
				t.Fatalf("the first render counts %v", first)
			}
		}
		if forward == nil {
			return // a day is too long
		}
		forward(12 * time.Hour)
		if first := learn(2, 24*time.Hour); first < 0.55 || first > 0.65 {
			t.Errorf("half a lifetime later the first render counts %v, want 0.61", first)
		}
		forward(100 * time.Hour)
		if first := learn(2, 24*time.Hour); first > 0.31 {
			t.Errorf("after its lifetime the first render counts %v, want half as much with each render", first)
		}
	})
}

// TestNonsenseIsNotLearnt: what somebody has put there that can't be is passed over, and gone in time.
func TestNonsenseIsNotLearnt(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		for _, field := range []string{"unit", "3"} {
			for _, text := range []string{"nan", "inf", "-1", "1e308", "wide"} {
				key := rendersKey("face-swap")
				if err := s.rdb.HSet(t.Context(), key, "unit", "0.5e9", field, text, "shape", "wide", "5", "2e9").Err(); err != nil {
					t.Fatal(err)
				}
				for range 40 {
					learnt, err := s.Renders(t.Context(), []string{"face-swap"})
					if err != nil {
						t.Fatal(err)
					}
					for _, w := range learnt["face-swap"] {
						if !(w.Weight >= 0 && w.Weight < 1e6) {
							t.Fatalf("%s %s: read %v", field, text, w)
						}
					}
					if text == "inf" && field != "unit" {
						break // Redis adds nothing to it, and nobody reads it
					}
					if err := s.Learn(t.Context(), "face-swap", 0.9, 0, []Weight{{4, 1}}); err != nil {
						t.Fatalf("%s %s: %v", field, text, err)
					}
				}
				if learnt, err := s.Renders(t.Context(), []string{"face-swap"}); err != nil || len(learnt["face-swap"]) == 0 {
					t.Errorf("%s %s: nothing is learnt any more (%v)", field, text, err)
				}
				s.rdb.Del(t.Context(), key)
			}
		}
	})
}

// TestWebhooksAreCountedOnce: an event that is sent again tells of nothing new, nor does one that comes long after the
// poll, or of another kind.
func TestWebhooksAreCountedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, testWebhooks)
}

func testWebhooks(t *testing.T, s *Store, forward func(time.Duration)) {
	at := time.UnixMilli(1_800_000_000_000)
	hear := func(project string) {
		t.Helper()
		if err := s.Hear(t.Context(), "video", project, at); err != nil {
			t.Fatal(err)
		}
	}
	end := func(kind, project string, want time.Time) {
		t.Helper()
		if heard, err := s.EndRender(t.Context(), kind, project, 0.9); err != nil || !heard.Equal(want) {
			t.Fatalf("%s: heard at %v (%v), want %v", project, heard, err, want)
		}
	}
	for _, project := range []string{"p1", "p1", "never ends", "p1"} {
		hear(project)
	}
	end("video", "p1", at)
	end("video", "p2", time.Time{})
	hear("p2") // a moment later
	hear("p2")
	end("video", "p3", time.Time{})
	end("image", "p4", time.Time{})
	if forward != nil {
		forward(inTime + time.Second)
	} else { // not in a test's time
		s.rdb.Del(t.Context(), webhooksKeys("video", "p3")[2])
	}
	hear("p3")
	ended, heard, err := s.Webhooks(t.Context(), "video")
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + 0.9 + 0.81; math.Abs(ended-want) > 1e-6 {
		t.Errorf("ended: got %v, want %v", ended, want)
	}
	if want := 0.81 + 0.9; math.Abs(heard-want) > 1e-6 {
		t.Errorf("heard: got %v, want %v", heard, want)
	}
}
