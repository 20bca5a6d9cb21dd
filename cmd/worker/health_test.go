package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

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
