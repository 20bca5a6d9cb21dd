package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestNotices: real workers tell a real receiver, which is down at first, of jobs that are stored, fail and are
// canceled, though a worker is killed in between. Each comes by one id, with a signature.
func TestNotices(t *testing.T) {
	t.Parallel()
	secrets, err := callback.ParseSecrets(callbackSecret)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	up, refused, ids := false, 0, map[string][]string{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if !up {
			refused++
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var n tasks.Notice
		if err := json.Unmarshal(body, &n); err != nil || r.Header.Get("Webhook-Signature") != callback.Sign(secrets, n.ID, r.Header.Get("Webhook-Timestamp"), body) {
			t.Errorf("got %s, signed %s: %v", body, r.Header.Get("Webhook-Signature"), err)
		}
		key := n.Job.ID + " " + string(n.Type)
		if !slices.Contains(ids[key], n.ID) {
			ids[key] = append(ids[key], n.ID)
		}
	}))
	defer receiver.Close()

	f := newFleet(t)
	env := []string{"HOURGLASS_CALLBACK_SECRET=" + callbackSecret, "HOURGLASS_CALLBACK_ALLOW=127.0.0.1"}
	worker, _ := f.startWorker(env...)
	hand := func(id, name string) {
		args := []string{"submit", "ai-image-generator", "--id", id, "--set", "image_count=1", "--set", "style.prompt=x", "--set", "name=" + name,
			"--notify-url", receiver.URL + "/hook?token=hidden", "--notify-stream", "mine:events"}
		if _, stderr, code := f.enqueue(args...); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	hand("good", "x")
	hand("bad", "x [fake error=no_source_face]")
	hand("slow", "x [fake render=1h]")
	state := func(id string) tasks.State {
		out, _, _ := f.enqueue("status", id, "--json")
		var s tasks.Status
		_ = json.Unmarshal([]byte(out), &s)
		return s.State
	}
	f.eventually("the jobs go on though nobody takes notices", func() bool {
		return state("good") == tasks.Done && state("bad") == tasks.Failed && state("slow") == tasks.Rendering
	})
	f.eventually("the receiver is tried", func() bool { mu.Lock(); defer mu.Unlock(); return refused > 1 })
	worker.signal(syscall.SIGKILL)
	if _, stderr, code := f.enqueue("cancel", "slow"); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	mu.Lock()
	up = true
	mu.Unlock()
	f.startWorker(env...)
	want := []string{"good job.stored", "bad job.failed", "slow job.canceled"}
	f.eventually("all are told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(want, func(key string) bool { return len(ids[key]) == 0 })
	})
	mu.Lock()
	defer mu.Unlock()
	for key, all := range ids {
		if len(all) != 1 || !slices.Contains(want, key) {
			t.Errorf("%s was told under %v", key, all)
		}
	}
	if n := f.rdb.XLen(t.Context(), "mine:events").Val(); n < 3 {
		t.Errorf("%d entries in the caller's stream", n)
	}
}
