package main

import (
	"context"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/dashboard"
)

// A board is the dashboard over the embedded Redis.
type board struct {
	*dashboard.Dashboard
	url   string
	moved string // the default address, if it was taken
}

func startDashboard(ctx context.Context, c config, redisAddr string) (*board, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.dashboardAddr)
	moved := ""
	if err != nil && !c.dashboardIsNamed {
		moved = c.dashboardAddr
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("--dashboard-addr %s: %w; choose another one, or port 0 for a free one", c.dashboardAddr, err)
	}
	connect := func() redis.UniversalClient { return redis.NewClient(&redis.Options{Addr: redisAddr}) }
	return &board{
		Dashboard: dashboard.Serve(listener, dashboard.Options{Connect: connect, Writable: true}),
		url:       "http://" + listener.Addr().String(), moved: moved,
	}, nil
}
