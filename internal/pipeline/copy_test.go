package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

const longOutput = 300_000

// ranges lists the downloads of a world by their status: 206 is the rest of a file.
func (w *world) ranges() (statuses []int) {
	for _, e := range w.fake.Ledger().Events {
		if e.Call == magichourtest.Download {
			statuses = append(statuses, e.Status)
		}
	}
	return statuses
}

// TestResumesWhereItWas: a copy that breaks off goes on, and costs the job nothing.
func TestResumesWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{OutputSize: longOutput, Behavior: magichourtest.Behavior{
		Body: magichourtest.Truncated, BodyTimes: 2, BreakAt: 100_000,
	}})
	w.submit(requests()[0])
	if err := w.step(w.untilStage(tasks.StageDownload)); err != nil {
		t.Fatalf("the download: %v", err)
	}
	w.run()
	w.checkDone("video")
	if got, want := w.ranges(), []int{200, 206, 206}; !slices.Equal(got, want) {
		t.Errorf("downloads: got %v, want %v", got, want)
	}
}

// TestSourceChangesWhileItIsCopied: half of one file and half of another make none. The copy begins anew.
func TestSourceChangesWhileItIsCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{OutputSize: longOutput, Behavior: magichourtest.Behavior{
		Body: magichourtest.Truncated, BodyTimes: 1, BreakAt: 100_000,
	}})
	w.submit(requests()[0])
	download := w.untilStage(tasks.StageDownload)
	project := w.job("video").ProjectID
	var change func()
	change = func() {
		if len(w.ranges()) == 0 {
			w.on["http GET media before"] = change
			return
		}
		w.fake.SetBehavior(project, magichourtest.Behavior{Edition: 1})
	}
	w.on["http GET media before"] = change
	if err := w.step(download); err != nil {
		t.Fatalf("the download: %v", err)
	}
	w.run()
	w.checkDone("video")
	if got, want := w.ranges(), []int{200, 206, 200}; !slices.Equal(got, want) {
		t.Errorf("downloads: got %v, want %v", got, want)
	}
}

// putting is a store in which something happens to each Put.
type putting struct {
	storage.Store
	before func(key string) error
}

func (s putting) Put(ctx context.Context, key string, r io.Reader, o storage.PutOptions) (storage.Object, error) {
	if err := s.before(key); err != nil {
		return storage.Object{}, err
	}
	return s.Store.Put(ctx, key, r, o)
}

// forgetful is a store that keeps the bytes of an object, and nothing else that it is told.
type forgetful struct{ storage.Store }

func (s forgetful) Put(ctx context.Context, key string, r io.Reader, o storage.PutOptions) (storage.Object, error) {
	o.Metadata = nil
	return s.Store.Put(ctx, key, r, o)
}

// TestOpenEndedInAStoreThatForgets: what is known of a source does not depend on what a store keeps.
func TestOpenEndedInAStoreThatForgets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Behavior: magichourtest.Behavior{Body: magichourtest.Short}})
	w.submit(requests()[0])
	download := w.untilStage(tasks.StageDownload)
	w.pipeline.store = forgetful{w.pipeline.store}
	if err := w.step(download); err != nil {
		t.Fatal(err)
	}
	w.run()
	if job := w.job("video"); job.State != tasks.Done || *job.Remote != tasks.RemoteKept || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s, remote %v, after %d deletes", job.State, *job.Remote, w.fake.Totals().Deletes)
	}
}

// TestOutputsAtTheSameTime: the files of one job do not wait for each other.
func TestOutputsAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	download := w.untilStage(tasks.StageDownload)
	together := make(chan struct{})
	var arrived atomic.Int32
	w.pipeline.store = putting{w.pipeline.store, func(key string) error {
		if key == "images/manifest.json" {
			return nil
		}
		if arrived.Add(1) == 4 { // all of them
			close(together)
		}
		select {
		case <-together:
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("nobody came")
		}
	}}
	if err := w.step(download); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.checkDone("images")
}

// TestCopiesOnlyWhatIsMissing: a file that can't be copied keeps no other, and only it is tried again.
func TestCopiesOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	download := w.untilStage(tasks.StageDownload)
	var mu sync.Mutex
	puts := map[string]int{}
	w.pipeline.store = putting{w.pipeline.store, func(key string) error {
		mu.Lock()
		defer mu.Unlock()
		if puts[key]++; key == "images/2.png" && puts[key] == 1 {
			return errors.New("the disk is full")
		}
		return nil
	}}
	if err := w.step(download); err == nil || !strings.Contains(err.Error(), "copy output 2") {
		t.Errorf("got %v, want which file it was", err)
	}
	w.forward(lease)
	if err := w.step(download); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"images/1.png": 1, "images/2.png": 2, "images/3.png": 1, "images/4.png": 1, "images/manifest.json": 1}
	if diff := cmp.Diff(want, puts); diff != "" {
		t.Errorf("puts (-want +got):\n%s", diff)
	}
	w.run()
	w.checkDone("images")
}

func TestEach(t *testing.T) {
	t.Parallel()
	var now, most, done atomic.Int32
	each(20, 3, func(int) {
		most.Store(max(most.Load(), now.Add(1)))
		done.Add(1)
		now.Add(-1)
	})
	if done.Load() != 20 || most.Load() > 3 {
		t.Errorf("%d done, %d at once", done.Load(), most.Load())
	}
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, errKilled.Error()) || !strings.Contains(r, "pipeline.breaksHere(") {
			t.Errorf("recovered %s, want what was broken and where", r)
		}
	}()
	each(20, 3, func(i int) {
		if i == 5 {
			breaksHere()
		}
	})
	t.Error("no panic")
}

//go:noinline
func breaksHere() { panic(errKilled) }
