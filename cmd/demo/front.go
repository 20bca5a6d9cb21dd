package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/front"
	"github.com/seed-290c2414/hourglass/internal/storage"
)

// openFront takes jobs over HTTP and shows them in a browser, from this machine alone and without tokens.
func (s *scene) openFront(ctx context.Context, c config, rdb redis.UniversalClient, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.httpAddr)
	if err != nil && !c.httpIsNamed {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("--http-addr %s: %w; choose another one, or port 0 for a free one", c.httpAddr, err)
	}
	s.front = "http://" + listener.Addr().String()
	s.endings = append(s.endings, background(ctx, func(ctx context.Context) {
		config := front.Config{Redis: rdb, Client: s.client, Files: storage.NewFiles(storage.Options{}), Log: slog.New(slog.DiscardHandler)}
		if err := front.Serve(ctx, listener, config); err != nil {
			log.WarnContext(ctx, "jobs are taken over HTTP no more", "reason", err)
		}
	}))
	return nil
}
