package pipeline

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestCancel: in every stage, between the tasks and while one is under way.
func TestCancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		stage   tasks.Stage
		during  string // the call in whose middle the job is canceled; empty: while its task waits
		creates int
		warned  bool
	}{
		{"before the create", tasks.StageCreate, "", 0, false},
		{"between mark and POST", tasks.StageCreate, "http POST before", 0, true},
		{"while the answer is on its way", tasks.StageCreate, "http POST after", 1, true},
		{"while rendering", tasks.StagePoll, "", 1, true},
		{"while a poll asks", tasks.StagePoll, "http GET after", 1, true},
		{"before the copy", tasks.StageDownload, "", 1, true},
		{"in the middle of the copy", tasks.StageDownload, "store put after", 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.submit(images())
			info := w.waiting()[0]
			if tt.stage != tasks.StageCreate {
				info = w.untilStage(tt.stage)
			}
			cancel := func() {
				if _, err := w.client.Cancel(t.Context(), "images"); err != nil {
					t.Error(err)
				}
			}
			if tt.during == "" {
				cancel()
			} else {
				w.on[tt.during] = cancel
			}
			_ = w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload))
			_ = w.inspector.DeleteTask(info.Queue, info.ID)
			w.run()
			job := w.checkLaws("images")
			if job.State != tasks.Canceled || (len(job.Warnings) > 0) != tt.warned {
				t.Errorf("got %s, warnings %q", job.State, job.Warnings)
			}
			if got := w.fake.Totals(); got.Creates != tt.creates || got.Deletes != 0 {
				t.Errorf("%d creates, %d deletes", got.Creates, got.Deletes)
			}
			if _, err := w.store.Head(t.Context(), manifestKey(job)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a manifest says that the set is complete: %v", err)
			}
			if tt.creates == 1 && job.ProjectID == "" && !slices.Equal(job.Orphans, []string{w.fake.Projects()[0].ID}) {
				t.Errorf("orphans: got %v; the project that was bought is not noted", job.Orphans)
			}
			if ttl := w.redis.TTL("hourglass:{images}:record"); ttl <= 0 {
				t.Error("the record lives for ever")
			}
		})
	}
}

// TestCancelKeepsTheMark: a purchase that may have been charged is not forgotten with its job.
func TestCancelKeepsTheMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true})
	w.submit(images())
	w.run()
	parked := w.job("images")
	if _, err := w.client.Cancel(t.Context(), "images"); err != nil {
		t.Fatal(err)
	}
	job := w.job("images")
	if mark := job.Mark(); mark == nil || mark.Token != parked.Mark().Token {
		t.Errorf("attempts: got %+v, want the mark kept", job.Attempts)
	}
	if got := strings.Join(job.Warnings, "\n"); !strings.Contains(got, tasks.Tag("images", parked.Mark().Token)) {
		t.Errorf("warnings: got %q, want the project's name", got)
	}
}

// TestRetry: a failed job goes on where it failed, and buys nothing anew unless told.
func TestRetry(t *testing.T) {
	t.Parallel()
	t.Run("an object in the way is moved", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		if _, err := w.store.Put(t.Context(), "images/2.png", strings.NewReader("mine"), storage.PutOptions{Size: 4}); err != nil {
			t.Fatal(err)
		}
		w.submit(images())
		w.run()
		failed := w.checkLaws("images")
		if failed.State != tasks.Failed || failed.Error.Code != codeObjectExists {
			t.Fatalf("got %s (%+v)", failed.State, failed.Error)
		}
		w.removeObject("images/2.png")
		w.retry("images", false)
		w.run()
		if job := w.checkDone("images"); job.ProjectID != failed.ProjectID || w.fake.Totals().Creates != 1 {
			t.Errorf("got project %s after %d creates, want the one that is paid for", job.ProjectID, w.fake.Totals().Creates)
		}
	})
	t.Run("given up, and the render is ready at last", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Render: map[string]time.Duration{"": 30 * time.Hour}})
		w.submit(images())
		w.untilStage(tasks.StagePoll)
		w.forward(25 * time.Hour)
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeGaveUp {
			t.Fatalf("got %s (%+v)", job.State, job.Error)
		}
		w.forward(10 * time.Hour)
		w.retry("images", false)
		w.run()
		if w.checkDone("images"); w.fake.Totals().Creates != 1 {
			t.Errorf("%d creates", w.fake.Totals().Creates)
		}
	})
	t.Run("a render that failed is bought anew only if told", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.fake.Script(magichourtest.Behavior{Error: "no_source_face"})
		w.submit(images())
		w.run()
		first := w.job("images").ProjectID
		if _, err := w.client.Retry(t.Context(), "images", false); !errors.Is(err, tasks.ErrState) || !strings.Contains(err.Error(), "--recreate") {
			t.Errorf("plain retry: got %v", err)
		}
		w.retry("images", true)
		w.run()
		job := w.job("images")
		if job.State != tasks.Done || job.ProjectID == first || !slices.Equal(job.Earlier, []string{first}) {
			t.Errorf("got %s, project %s, earlier %v", job.State, job.ProjectID, job.Earlier)
		}
		if err := w.checkCopies(job.ProjectID); err != nil {
			t.Error(err)
		}
		if got := w.fake.Totals(); got.Creates != 2 || got.Deletes != 1 {
			t.Errorf("%d creates, %d deletes", got.Creates, got.Deletes)
		}
	})
	t.Run("copies of the project before are the job's own", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		if _, err := w.store.Put(t.Context(), "images/4.png", strings.NewReader("mine"), storage.PutOptions{Size: 4}); err != nil {
			t.Fatal(err)
		}
		w.submit(images())
		w.run() // three of four are copied
		w.removeObject("images/4.png")
		w.retry("images", true)
		w.run()
		if job := w.job("images"); job.State != tasks.Done || w.checkCopies(job.ProjectID) != nil {
			t.Errorf("got %s (%+v), %v", job.State, job.Error, w.checkCopies(job.ProjectID))
		}
	})
	t.Run("nobody knows whether it was charged", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true})
		w.submit(images())
		w.run()
		if _, err := w.client.Resolve(t.Context(), "images", tasks.Resolution{Fail: true}); err != nil {
			t.Fatal(err)
		}
		w.retry("images", false)
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Unknown || w.fake.Totals().Creates != 1 {
			t.Errorf("got %s after %d creates, want it parked", job.State, w.fake.Totals().Creates)
		}
	})
}

func (w *world) retry(id string, recreate bool) {
	w.t.Helper()
	if _, err := w.client.Retry(w.t.Context(), id, recreate); err != nil {
		w.t.Fatal(err)
	}
}

// removeObject takes an object out of the store, as a person would.
func (w *world) removeObject(key string) {
	w.t.Helper()
	o, err := w.store.Head(w.t.Context(), key)
	if err == nil {
		err = os.Remove(strings.TrimPrefix(o.URL, "file://"))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestResolve: what a person says of a purchase that nobody knew the outcome of.
func TestResolve(t *testing.T) {
	t.Parallel()
	parked := func(t *testing.T) *world {
		w := newWorld(t, magichourtest.Options{})
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true})
		w.submit(images())
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Unknown {
			t.Fatalf("got %s", job.State)
		}
		return w
	}
	resolve := func(w *world, r tasks.Resolution) {
		if _, err := w.client.Resolve(w.t.Context(), "images", r); err != nil {
			w.t.Fatal(err)
		}
		w.run()
	}
	t.Run("the project was made", func(t *testing.T) {
		t.Parallel()
		w := parked(t)
		resolve(w, tasks.Resolution{Project: w.fake.Projects()[0].ID})
		if job := w.checkDone("images"); job.CreditsCharged != 20 || w.fake.Totals().Creates != 1 {
			t.Errorf("%d credits after %d creates", job.CreditsCharged, w.fake.Totals().Creates)
		}
	})
	t.Run("the risk of a second charge is taken", func(t *testing.T) {
		t.Parallel()
		w := parked(t)
		resolve(w, tasks.Resolution{Recreate: true})
		if job := w.job("images"); job.State != tasks.Done || w.fake.Totals().Creates != 2 || w.fake.Totals().Deletes != 1 {
			t.Errorf("got %s after %+v", job.State, w.fake.Totals())
		}
	})
	t.Run("given up", func(t *testing.T) {
		t.Parallel()
		w := parked(t)
		resolve(w, tasks.Resolution{Fail: true})
		if job := w.checkLaws("images"); job.State != tasks.Failed || job.Mark() == nil || job.Error.Code != codeUnknownOutcome {
			t.Errorf("got %s (%+v), mark %v", job.State, job.Error, job.Mark())
		}
	})
}

// TestOutageBeforeThePurchase: hours without the API fail no job that waits for it, and the job says why it
// waits.
func TestOutageBeforeThePurchase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 503, Times: -1})
	for range 50 {
		w.forward(20 * time.Minute)
		err := w.step(w.waiting()[0])
		if err == nil || errors.Is(err, asynq.SkipRetry) {
			t.Fatalf("got %v, want another try", err)
		}
		if wait := retryDelay(40, err, w.createTask()); wait > 15*time.Minute {
			t.Fatalf("the next try comes in %s", wait)
		}
	}
	if job := w.job("images"); job.State != tasks.Pending || job.Hold == nil || job.Hold.Code != codeTrouble {
		t.Errorf("got %s, hold %+v", job.State, job.Hold)
	}
	w.fake.ClearFaults()
	w.run()
	w.checkDone("images")
}
