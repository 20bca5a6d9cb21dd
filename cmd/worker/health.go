package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
)

// health answers whether the process lives, and whether what it needs is there.
type health struct {
	parts    map[string]*part
	draining atomic.Bool
}

const (
	askRedisFor = 2 * time.Second
	askStoreFor = 10 * time.Second
	askAPIFor   = 10 * time.Second
	believe     = 15 * time.Second // a good answer of the store costs writes, one of the API counts against its limits
)

func newHealth(rdb redis.UniversalClient, store storage.Store, api *magichour.Client) *health {
	return &health{parts: map[string]*part{
		"redis": {limit: askRedisFor, ask: func(ctx context.Context) (string, error) { return "", records.Check(ctx, rdb) }},
		"store": {limit: askStoreFor, believe: believe, ask: func(ctx context.Context) (string, error) {
			proof, err := store.Check(ctx)
			return string(proof), err
		}},
		"api": {limit: askAPIFor, believe: believe, ask: func(ctx context.Context) (string, error) {
			_, err := api.Account(ctx)
			var answer *magichour.Error
			if errors.As(err, &answer) && answer.Status == http.StatusTooManyRequests {
				return "", nil // it answers
			}
			return "", err
		}},
	}}
}

// routes adds what is asked of the process.
func (h *health) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", h.ready)
}

// ready asks all parts at once: a probe does not wait for the sum of their limits.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	status, said := http.StatusOK, map[string]string{"status": "ok"}
	ctx := r.Context()
	var asking sync.WaitGroup
	var mu sync.Mutex
	for name, part := range h.parts {
		asking.Go(func() {
			how, err := part.check(ctx)
			mu.Lock()
			defer mu.Unlock()
			said[name] = "ok"
			if how != "" {
				said[name] = "ok: " + how
			}
			if err != nil {
				status, said[name], said["status"] = http.StatusServiceUnavailable, magichour.Redact(err.Error()), "not ready"
			}
		})
	}
	asking.Wait()
	if h.draining.Load() {
		status, said["status"] = http.StatusServiceUnavailable, "draining"
	}
	answer(w, status, said)
}

// A part is something outside that the worker needs.
type part struct {
	// ask also says how the part does its work, if that is worth a word.
	ask     func(context.Context) (how string, err error)
	limit   time.Duration // for one answer
	believe time.Duration // how long a good answer holds

	mu  sync.Mutex
	how string
	err error
	at  time.Time

	last atomic.Pointer[answered] // does not wait for the answer that is under way
}

// An answered question is whether a part was well, and when.
type answered struct {
	well bool
	at   time.Time
}

// check asks, unless the part was well a moment ago. Its answer is kept also for a caller who has not
// waited for it, or a part that is slow but well would never be ready for an impatient probe.
func (p *part) check(ctx context.Context) (how string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < p.believe && p.err == nil {
		return p.how, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.limit)
	defer cancel()
	p.how, p.err = p.ask(ctx)
	p.at = time.Now()
	p.last.Store(&answered{p.err == nil, p.at})
	return p.how, p.err
}

// tellFor is how long an answer is told. Where nobody asks again, an outage must not be told of for ever.
const tellFor = 2 * time.Minute

// well says which parts were well when they were last asked, if that is not long ago.
func (h *health) well() map[string]bool {
	well := map[string]bool{}
	for name, part := range h.parts {
		if last := part.last.Load(); last != nil && time.Since(last.at) < tellFor {
			well[name] = last.well
		}
	}
	return well
}

// logStore says at the start how copies are proved, and what is wrong with the store.
func (h *health) logStore(ctx context.Context, log *slog.Logger) {
	proof, err := h.parts["store"].check(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Error("the store does not work; downloads wait until it does", "reason", err)
	case proof == string(storage.ReadBack):
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
