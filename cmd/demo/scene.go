package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/lmittmann/tint"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A scene is all that a job needs, within this process: Redis, the API, a worker, and the
// dashboard to see it by.
type scene struct {
	redis     *miniredis.Miniredis
	api       *magichourtest.Server
	client    *tasks.Client
	dashboard *board
	front     string   // the URL where jobs are taken and shown
	endings   []func() // of what was started, in that order
}

// end ends what was started, the last first.
func (s *scene) end() {
	for i := len(s.endings) - 1; i >= 0; i-- {
		s.endings[i]()
	}
}

func buildScene(ctx context.Context, c config, stderr io.Writer) (*scene, error) {
	s := &scene{}
	if err := s.build(ctx, c, logger(stderr, c.verbose)); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *scene) build(ctx context.Context, c config, log *slog.Logger) (err error) {
	if s.redis, err = startRedis(c.redisAddr); err != nil {
		return err
	}
	s.endings = append(s.endings, s.redis.Close)
	s.endings = append(s.endings, background(ctx, func(ctx context.Context) { runClock(ctx, s.redis) }))
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.Addr()})
	s.endings = append(s.endings, func() { _ = rdb.Close() })
	s.client = tasks.NewClient(rdb)

	// A seed of its own for every run: the ids of projects are made of it.
	s.api = magichourtest.New(magichourtest.Options{TimeScale: c.timeScale, Seed: rand.Uint64()}) //nolint:gosec // it protects nothing
	if err := s.api.Start(ctx); err != nil {
		return fmt.Errorf("start the fake API: %w", err)
	}
	s.endings = append(s.endings, s.api.Close)

	if s.dashboard, err = startDashboard(ctx, c, s.redis.Addr()); err != nil {
		return err
	}
	s.endings = append(s.endings, s.dashboard.Close)

	if err := s.openFront(ctx, c, rdb, log); err != nil {
		return err
	}

	endWorker, err := startWorker(ctx, s.api.URL(), c.dir, rdb, log)
	if err != nil {
		return err
	}
	s.endings = append(s.endings, endWorker)
	return nil
}

// background runs do until its end is called for, or ctx ends, and returns what calls for it and
// waits.
func background(ctx context.Context, do func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		do(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

func logger(w io.Writer, verbose bool) *slog.Logger {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: true}))
}
