package pipeline

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// month is longer than anything is kept of a job that has ended.
const month = 30 * 24 * time.Hour

// checkNoTrace holds that Redis keeps nothing of jobs that have ended so long ago.
func (w *world) checkNoTrace(what string) {
	w.t.Helper()
	for _, key := range w.redis.Keys() {
		if strings.HasPrefix(key, "hourglass:") && key != records.Events { // which is bounded
			w.t.Errorf("%s: %s stays behind for ever", what, key)
		}
	}
}

// TestOrphanLeavesNothing: neither the claim of a project that was bought for a canceled job outlives its
// record, nor its place in the index among those that render, which metrics count.
func TestOrphanLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.buyWhile(func(*asynq.TaskInfo) {
		if _, err := w.client.Cancel(t.Context(), "images"); err != nil {
			t.Error(err)
		}
	})
	w.run()
	if job := w.checkLaws("images"); job.State != tasks.Canceled || len(job.Orphans) != 1 {
		t.Fatalf("got %s, orphans %v", job.State, job.Orphans)
	}
	if counts, err := w.pipeline.Jobs(t.Context()); err != nil || counts[tasks.Canceled] != 1 || counts[tasks.Rendering] != 0 {
		t.Errorf("counted: %v, %v; want one job, canceled", counts, err)
	}
	w.forward(month)
	w.sweep()
	w.checkNoTrace("canceled")
}

// TestClaimStandsWhileTheJobLives: on the road again, a job does not lose its project to another one.
func TestClaimStandsWhileTheJobLives(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(w *world, failed *asynq.TaskInfo){
		"enqueue retry": func(w *world, _ *asynq.TaskInfo) { w.retry("images", false) },
		"run from the dashboard": func(w *world, failed *asynq.TaskInfo) {
			w.failedWith(failed, w.clock(), reasonOf(w.job("images").Error))
			if err := w.inspector.RunTask(failed.Queue, failed.ID); err != nil {
				t.Fatal(err)
			}
			if err := w.step(failed); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.putInTheWay("images/2.png")
			w.submit(images())
			download := w.untilStage(tasks.StageDownload)
			w.run()
			claim := "hourglass:{fleet}:project:" + w.job("images").ProjectID
			if w.redis.TTL(claim) <= 0 {
				t.Error("the claim of a job that has failed never ends")
			}
			w.removeObject("images/2.png")
			again(w, download)
			if job, ttl := w.job("images"), w.redis.TTL(claim); job.State != tasks.Storing || ttl > 0 {
				t.Errorf("the job is %s, and its claim ends in %v", job.State, ttl)
			}
			w.run()
			w.checkDone("images")
			w.forward(month)
			w.sweep()
			w.checkNoTrace("done")
		})
	}
}

// TestRefusedResolveClaimsNothing: a person has mixed up two projects, and a colleague has canceled the job
// meanwhile. The other job can still have its project.
func TestRefusedResolveClaimsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true, Times: 2})
	ids := w.several(2)
	w.run()
	project := w.fake.Projects()[1].ID
	canceled := false
	w.on["redis set after"] = func() {
		canceled = true
		if _, err := w.client.Cancel(t.Context(), ids[0]); err != nil {
			t.Error(err)
		}
	}
	if _, err := tasks.NewClient(w.begin().rdb).Resolve(t.Context(), ids[0], tasks.Resolution{Project: project}); !errors.Is(err, tasks.ErrState) || !canceled {
		t.Fatalf("got %v, want it refused since it was canceled meanwhile (%v)", err, canceled)
	}
	if job, err := w.client.Resolve(t.Context(), ids[1], tasks.Resolution{Project: project}); err != nil || job.State != tasks.Rendering {
		t.Errorf("got %v, want the project followed: nothing was changed, says ErrState", err)
	}
}
