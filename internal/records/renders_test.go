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
		if err := s.Learn(t.Context(), "face-swap", kept, []Weight{{i % 3, 0.25}, {7, 0.75}}); err != nil {
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

// TestWebhooksAreCountedOnce: an event that is sent again tells of nothing new.
func TestWebhooksAreCountedOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) { testWebhooks(t, s) })
}

func testWebhooks(t *testing.T, s *Store) {
	for _, project := range []string{"p1", "p1", "p2", "p1"} {
		if err := s.Hear(t.Context(), project); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := s.EndRender(t.Context(), 0.9); err != nil {
			t.Fatal(err)
		}
	}
	ended, heard, err := s.Webhooks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + 0.9 + 0.81; math.Abs(ended-want) > 1e-6 {
		t.Errorf("ended: got %v, want %v", ended, want)
	}
	if want := 2 * 0.9 * 0.9 * 0.9; math.Abs(heard-want) > 1e-6 {
		t.Errorf("heard: got %v, want %v", heard, want)
	}
}
