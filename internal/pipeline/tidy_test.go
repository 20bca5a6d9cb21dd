package pipeline

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// leave leaves in the folder of a job what a worker leaves that is killed while it copies.
func (w *world) leave(job string, age time.Duration) string {
	w.t.Helper()
	folder := filepath.Join(w.dir, job)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(folder, "."+strings.Repeat("A", 26)+".part")
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func gonePath(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// TestDoneLeavesNothing: a job that is done leaves nothing of a worker that was killed in the middle.
func TestDoneLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.untilStage(tasks.StageDownload)
	left := w.leave("images", 0)
	w.run()
	w.checkDone("images")
	if !gonePath(left) {
		t.Errorf("%s is still there", left)
	}
}

var errNotGranted = errors.New("not granted")

// untidy is a store that lets nobody see its uploads.
type untidy struct{ storage.Store }

func (untidy) Tidy(context.Context, string, time.Duration) (int, error) { return 0, errNotGranted }

// TestTidyFailsNoJob: a right that is missing is said once.
func TestTidyFailsNoJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	var log bytes.Buffer
	w.pipeline.log = slog.New(slog.NewTextHandler(&log, nil))
	w.pipeline.store = untidy{w.pipeline.store}
	for _, id := range []string{"images", "images-2"} {
		r := images()
		r.ID = id
		w.submit(r)
		w.run()
		if job := w.job(id); job.State != tasks.Done {
			t.Errorf("%s: got %s, want done", id, job.State)
		}
	}
	if n := strings.Count(log.String(), errNotGranted.Error()); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log.String())
	}
}

// TestTidyStore: what jobs have left that never came back goes, once an hour, by one worker.
func TestTidyStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	old := w.leave("never", 49*time.Hour)
	w.pipeline.tidyStore(t.Context())
	if !gonePath(old) {
		t.Errorf("%s is still there", old)
	}
	w.leave("never", 49*time.Hour)
	w.forward(59 * time.Minute)
	w.pipeline.tidyStore(t.Context())
	if gonePath(old) {
		t.Error("tidied twice within the hour")
	}
	w.forward(2 * time.Minute)
	w.pipeline.tidyStore(t.Context())
	if !gonePath(old) {
		t.Error("never tidied again")
	}
	young := w.leave("under-way", 47*time.Hour)
	w.forward(2 * time.Hour)
	w.pipeline.tidyStore(t.Context())
	if gonePath(young) {
		t.Error("a copy under way was tidied")
	}
}

// TestSweeperTidies: a worker that sweeps tidies as well.
func TestSweeperTidies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	ctx, stop := context.WithCancel(t.Context())
	w.on["store tidy after"] = stop
	old := w.leave("never", 49*time.Hour)
	w.pipeline.SweepEvery(ctx)
	if !gonePath(old) {
		t.Errorf("%s is still there", old)
	}
}
