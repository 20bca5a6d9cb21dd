package main

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// health answers whether the process lives, and whether it can do its work.
type health struct {
	rdb      redis.UniversalClient
	store    storage.Store
	webhook  http.Handler // nil: none
	draining atomic.Bool

	mu       sync.Mutex
	storeErr error
	storeAt  time.Time
}

const (
	askRedisFor = 2 * time.Second
	askStoreFor = 10 * time.Second
	storeValid  = time.Minute // how long an answer of the store is believed: each one costs writes
)

func (h *health) handler(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	if h.webhook != nil {
		mux.Handle("POST "+webhookPath, h.webhook)
	}
	return mux
}

func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	status, said := http.StatusOK, map[string]string{"status": "ok", "redis": "ok", "store": "ok"}
	trouble := func(what string, err error) {
		if err != nil {
			status, said[what], said["status"] = http.StatusServiceUnavailable, err.Error(), "not ready"
		}
	}
	trouble("redis", h.askRedis(r.Context()))
	trouble("store", h.askStore(r.Context()))
	if h.draining.Load() {
		status, said["status"] = http.StatusServiceUnavailable, "draining"
	}
	answer(w, status, said)
}

func (h *health) askRedis(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askRedisFor)
	defer cancel()
	return h.rdb.Ping(ctx).Err()
}

// askStore tries the store, unless it was well within the last minute.
func (h *health) askStore(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.storeAt) < storeValid && h.storeErr == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askStoreFor)
	defer cancel()
	h.storeErr, h.storeAt = h.store.Check(ctx), time.Now()
	return h.storeErr
}

func answer(w http.ResponseWriter, status int, said map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said)
}
