package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// startRedis starts a Redis within this process.
func startRedis(addr string) (*miniredis.Miniredis, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("--redis-addr %s: %w; choose another one, or port 0 for a free one", addr, err)
	}
	return server, nil
}

// runClock lets keys expire, until ctx ends: an embedded Redis has a clock that stands still.
func runClock(ctx context.Context, server *miniredis.Miniredis) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			server.FastForward(now.Sub(last))
			last = now
		}
	}
}
