package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// handlers is the number of handlers of each stage.
const handlers = 4

// pollEvery is the time between polls. It does not follow the time scale: a line every two seconds
// can be read.
const pollEvery = 2 * time.Second

// startWorker starts a worker of all stages, and returns what ends it.
func startWorker(ctx context.Context, apiURL, dir string, rdb redis.UniversalClient, log *slog.Logger) (end func(), err error) {
	api, err := magichour.New(apiURL, func() (string, error) { return "demo", nil })
	if err != nil {
		return nil, err
	}
	store, err := openFolder(ctx, dir)
	if err == nil {
		_, err = store.Check(ctx) // a folder that can't be written would let the jobs try for a day
	}
	if err != nil {
		return nil, fmt.Errorf("--dir %s: %w", dir, err)
	}
	p := pipeline.New(api, store, nil, rdb, log, pipeline.Settings{
		PollInterval: pollEvery, RecordTTL: 24 * time.Hour, TaskRetention: 24 * time.Hour, GiveUp: 24 * time.Hour,
	})
	stages := map[tasks.Stage]int{}
	for _, stage := range tasks.Served() {
		stages[stage] = handlers
	}
	servers, err := p.Serve(rdb, stages, time.Second)
	if err != nil {
		return nil, err
	}
	stopSweeping := background(ctx, p.SweepEvery)
	return func() {
		stopSweeping()
		servers.Shutdown()
	}, nil
}

func openFolder(ctx context.Context, dir string) (storage.Store, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	path = "/" + strings.TrimPrefix(filepath.ToSlash(path), "/") // as in file:///C:/media
	return storage.Open(ctx, (&url.URL{Scheme: "file", Path: path}).String(), storage.Options{})
}
