package magichourtest

import (
	"net/http"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := New(Options{Rate: 2, RateBurst: 3, Now: func() time.Time { return now }})
	call := func() int {
		return s.reply(&request{call: Account, authorization: "Bearer x"}, s.account, nil).status
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		if got := call(); got != want {
			t.Errorf("call %d: %d, want %d", i+1, got, want)
		}
	}
	now = now.Add(500 * time.Millisecond)
	if first, second := call(), call(); first != http.StatusOK || second != http.StatusTooManyRequests {
		t.Errorf("half a second later: %d and %d", first, second)
	}
	if got := s.Totals().Throttled; got != 2 {
		t.Errorf("%d calls were throttled, want 2", got)
	}
}
