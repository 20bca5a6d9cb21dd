package records

import (
	"testing"
	"time"
)

// Who uploads what somebody else has uploaded meanwhile names the other's path, so that equal requests stay equal.
func TestKeepUpload(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		now := time.Now().UTC()
		keep := func(path string, at time.Time, want string) {
			t.Helper()
			got, err := s.KeepUpload(t.Context(), "c", Upload{path, at}, time.Hour)
			if err != nil || got.FilePath != want {
				t.Errorf("keep %s: got %s, %v; want %s", path, got.FilePath, err, want)
			}
			if kept, found, err := s.KeptUpload(t.Context(), "c"); !found || err != nil || kept.FilePath != want {
				t.Errorf("kept: got %s, %t, %v; want %s", kept.FilePath, found, err, want)
			}
		}
		keep("first", now, "first")
		keep("second", now.Add(time.Minute), "first")
		keep("third", now.Add(time.Hour), "third") // the first one is too old to be named
		if err := s.DropUpload(t.Context(), "c", "first"); err != nil {
			t.Error(err)
		}
		if _, found, err := s.KeptUpload(t.Context(), "c"); !found || err != nil {
			t.Errorf("the path that another has refused was dropped with this one's: %t, %v", found, err)
		}
		if err := s.DropUpload(t.Context(), "c", "third"); err != nil {
			t.Error(err)
		}
		if _, found, err := s.KeptUpload(t.Context(), "c"); found || err != nil {
			t.Errorf("not dropped: %t, %v", found, err)
		}
	})
}
