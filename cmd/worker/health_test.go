package main

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

// TestOldAnswersAreNotTold: what was away when somebody looked is not said to be away for ever.
func TestOldAnswersAreNotTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &health{parts: map[string]*part{
			"store": {limit: time.Second, ask: func(context.Context) (string, error) { return "", nil }},
			"api":   {limit: time.Second, ask: func(context.Context) (string, error) { return "", errors.New("away") }},
		}}
		told := func(when string, want map[string]bool) {
			t.Helper()
			if got := h.well(); !maps.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
		told("before anybody asks", nil)
		for _, part := range h.parts {
			_, _ = part.check(t.Context())
		}
		<-time.After(tellFor - time.Second)
		told("a while later", map[string]bool{"store": true, "api": false})
		<-time.After(time.Second)
		told("much later", nil)
	})
}

// TestImpatientProbe: a part that takes longer than a probe waits is ready at the next one.
func TestImpatientProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &part{limit: 10 * time.Second, believe: time.Minute, ask: func(ctx context.Context) (string, error) {
			select {
			case <-time.After(2 * time.Second):
				return "", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := slow.check(ctx); err != nil {
				t.Errorf("it is well within its own limit: %v", err)
			}
			cancel()
		}
		dead := &part{limit: time.Second, ask: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }}
		if _, err := dead.check(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that never answers: %v", err)
		}
	})
}
