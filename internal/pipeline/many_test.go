package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestNobodyWaits: one handler follows 10,000 renders on a real Redis. None of them has a
// goroutine, and the handler is never in two of them, let alone waiting in one.
func TestNobodyWaits(t *testing.T) { //nolint:paralleltest // it counts the goroutines of the process
	const jobs = 10_000
	var asked sync.Map
	var polls, inside, most atomic.Int32
	all := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), inside.Add(1)))
		defer inside.Add(-1)
		id := path.Base(r.URL.Path)
		_, _ = fmt.Fprintf(w, `{"id":%q,"status":"rendering","enabled":true,"downloads":[]}`, id)
		if _, again := asked.LoadOrStore(id, true); !again && polls.Add(1) == jobs {
			close(all)
		}
	}))
	defer api.Close()
	rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(t)})
	defer func() { _ = rdb.Close() }()
	p := manyPipeline(t, api.URL, rdb)
	follow(t, p, jobs)

	before := runtime.NumGoroutine()
	servers, err := p.Serve(rdb, map[tasks.Stage]int{tasks.StagePoll: 1}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Shutdown()
	mostGoroutines := 0
	for waiting := true; waiting; {
		select {
		case <-all:
			waiting = false
		case <-time.After(20 * time.Millisecond):
			mostGoroutines = max(mostGoroutines, runtime.NumGoroutine())
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d handlers were in a call at once, want 1", most.Load())
	}
	if extra := mostGoroutines - before; extra > 50 {
		t.Errorf("%d goroutines more for %d renders", extra, jobs)
	}
	t.Logf("%d goroutines more while %d renders were followed", mostGoroutines-before, jobs)
	eventually(t, "every job waits as a scheduled task", func() bool {
		info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo(tasks.StagePoll.Queue())
		return err == nil && info.Scheduled == jobs && info.Pending+info.Active+info.Retry+info.Archived == 0
	})
}

func manyPipeline(t *testing.T, apiURL string, rdb *redis.Client) *Pipeline {
	t.Helper()
	client, err := magichour.New(apiURL, func() (string, error) { return "key", nil })
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), "file://"+t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return New(client, store, nil, rdb, slog.New(slog.NewTextHandler(io.Discard, nil)), Settings{PollInterval: time.Hour, RecordTTL: time.Hour, GiveUp: time.Hour})
}

// follow makes so many jobs that are rendering, each with its first poll due.
func follow(t *testing.T, p *Pipeline, jobs int) {
	t.Helper()
	const writers = 32
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			var failed error
			for i := w; i < jobs; i += writers {
				failed = errors.Join(failed, followOne(t.Context(), p, fmt.Sprintf("job-%d", i)))
			}
			errs <- failed
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

func followOne(ctx context.Context, p *Pipeline, id string) error {
	job, err := tasks.NewJob(tasks.Request{ID: id, Operation: "text-to-video", Body: requests()[0].Body}, time.Now())
	if err != nil {
		return err
	}
	job.State, job.ProjectID, job.Polls = tasks.Rendering, "p-"+id, 1
	r := &record{job: job}
	if err := p.save(ctx, r, job.Clone(), 0); err != nil {
		return err
	}
	return p.handOn(ctx, r, 0)
}

// eventually waits for a condition, for as long as the test may take.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}
