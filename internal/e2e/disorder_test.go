package e2e

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A relay stands between the API and the workers, and treats webhooks as badly as a network may: it loses some,
// sends all others many times, to any worker, and mixes them up.
type relay struct {
	workers []string
	copies  int
	lose    float64 // share of the events

	mu     sync.Mutex
	random *rand.Rand
	held   []*http.Request // waiting for others to come before them
	lost   int
	sent   int
	wrong  map[int]int // answers that are not 200
}

// heldAtMost is how many deliveries wait to be mixed up.
const heldAtMost = 150

func (r *relay) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.random.Float64() < r.lose {
		r.lost++
		return // the API believes that it was taken
	}
	for range r.copies {
		worker := r.workers[r.random.IntN(len(r.workers))]
		again := req.Clone(context.WithoutCancel(req.Context()))
		again.RequestURI = ""
		again.URL = again.URL.JoinPath() // a copy
		again.URL.Scheme, again.URL.Host = "http", strings.TrimPrefix(worker, "http://")
		again.Body = io.NopCloser(bytes.NewReader(body))
		r.held = append(r.held, again)
	}
	r.random.Shuffle(len(r.held), func(i, j int) { r.held[i], r.held[j] = r.held[j], r.held[i] })
	r.release(heldAtMost)
}

// release sends all but so many of what is held. It is called with the lock.
func (r *relay) release(keep int) {
	for ; len(r.held) > keep; r.held = r.held[1:] {
		r.sent++
		resp, err := http.DefaultTransport.RoundTrip(r.held[0])
		if err != nil {
			r.wrong[0]++
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			r.wrong[resp.StatusCode]++
		}
	}
}

// end sends the latest events, now that all is over, and holds that all were answered well.
func (r *relay) end(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(0)
	t.Logf("%d events lost, %d sent", r.lost, r.sent)
	if len(r.wrong) > 0 {
		t.Errorf("answered wrongly: %v", r.wrong)
	}
}

// TestWebhooksInDisorder: events come before the create is answered, each a hundred times, in any order and to any
// worker, and a third of them never. Each project is still downloaded once, and deleted once.
func TestWebhooksInDisorder(t *testing.T) {
	t.Parallel()
	const jobs = 24
	f := newFleet(t, "--render", "500ms")
	r := &relay{copies: 100, lose: 1.0 / 3, random: rand.New(rand.NewPCG(1, 2)), wrong: map[int]int{}} //nolint:gosec // not a secret
	for range 2 {
		_, url := f.startWorker("MAGIC_HOUR_WEBHOOK_SECRET="+hookSecret, "HOURGLASS_POLL_INTERVAL=2s")
		r.workers = append(r.workers, url)
	}
	between := httptest.NewServer(r)
	t.Cleanup(between.Close)
	f.put("/_fake/webhooks", `{"url":"`+between.URL+`/webhooks/magichour","secret":"`+hookSecret+`"}`)
	f.post("/_fake/faults", `{"call":"create","do":"slow","delay":"1500ms","after":true,"times":8}`) // complete before they are answered
	var ids []string
	for i := range jobs {
		f.submit(request(i))
		ids = append(ids, request(i).ID)
	}
	for _, id := range ids {
		f.eventually(id+" is done", func() bool { return f.state(id) == tasks.Done })
	}
	f.eventually("most events have come", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.lost > 0 && r.sent+len(r.held) >= jobs*r.copies/2
	})
	r.end(t)
	out, stderr, code := f.enqueue(append([]string{"wait", "--timeout", "1m", "--json"}, ids...)...)
	if code != 0 {
		t.Fatalf("wait: exit %d: %s", code, stderr)
	}
	f.checkRoad(out, jobs)
	f.checkHookSecret()
}
