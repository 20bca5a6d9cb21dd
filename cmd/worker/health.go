package main

import (
	"context"
	"encoding/json"
	"log/slog"
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
	draining atomic.Bool

	mu       sync.Mutex
	proof    storage.Proof
	storeErr error
	storeAt  time.Time
}

const (
	askRedisFor = 2 * time.Second
	askStoreFor = 10 * time.Second
	storeValid  = time.Minute // how long an answer of the store is believed: each one costs writes
)

func (h *health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.ready)
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
	proof, err := h.askStore(r.Context())
	said["store"] = "ok: " + string(proof)
	trouble("store", err)
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
func (h *health) askStore(ctx context.Context) (storage.Proof, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.storeAt) < storeValid && h.storeErr == nil {
		return h.proof, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askStoreFor)
	defer cancel()
	h.proof, h.storeErr = h.store.Check(ctx)
	h.storeAt = time.Now()
	return h.proof, h.storeErr
}

// logStore says at the start how copies are proved, and what is wrong with the store.
func (h *health) logStore(ctx context.Context, log *slog.Logger) {
	proof, err := h.askStore(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Error("the store does not work; downloads wait until it does", "reason", err)
	case proof == storage.ReadBack:
		log.Warn("store tried", "proof", proof)
	default:
		log.Info("store tried", "proof", proof)
	}
}

func answer(w http.ResponseWriter, status int, said map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(said)
}
