package pipeline

import (
	"slices"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
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
			w.on["http GET before"] = change
			return
		}
		w.fake.SetBehavior(project, magichourtest.Behavior{Edition: 1})
	}
	w.on["http GET before"] = change
	if err := w.step(download); err != nil {
		t.Fatalf("the download: %v", err)
	}
	w.run()
	w.checkDone("video")
	if got, want := w.ranges(), []int{200, 206, 200}; !slices.Equal(got, want) {
		t.Errorf("downloads: got %v, want %v", got, want)
	}
}
