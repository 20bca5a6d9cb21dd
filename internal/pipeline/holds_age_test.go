package pipeline

import (
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// hold holds a stage by hand, and release lets it go on.
func (w *world) hold(stage tasks.Stage) {
	w.t.Helper()
	if _, err := NewHolds(w.plain).ByHand(w.t.Context(), stage, ""); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) release(stage tasks.Stage) {
	w.t.Helper()
	if _, err := NewHolds(w.plain).Release(w.t.Context(), stage); err != nil {
		w.t.Fatal(err)
	}
	w.forward(2 * holdsValid) // until workers look again
}

// afterManyTries is what becomes of a job after an error that its task has met many times before.
func (w *world) afterManyTries(stage tasks.Stage) *tasks.Job {
	w.t.Helper()
	r, err := w.pipeline.load(w.t.Context(), "images")
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.pipeline.paid(w.t.Context(), stage, r.job)
	if err == nil {
		w.t.Fatal("the stage has met no error")
	}
	w.pipeline.afterError(r.job, stage, classify(stage, err), 10)
	return r.job
}

// TestPaidJobAfterAHold: the days that a paid job was held are not its own: trouble of seconds
// afterwards does not end it.
func TestPaidJobAfterAHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.untilStage(tasks.StagePoll)
	w.forward(time.Minute)
	w.fake.RevokeKey(true)
	for range 6 {
		w.checkHeld(codeUnauthorized)
		w.forward(10 * time.Hour)
		w.probe()
	}
	w.fake.RevokeKey(false)
	w.forward(time.Minute)
	w.probe()
	w.forward(2 * holdsValid)
	w.untilStage(tasks.StageDownload)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Download, Status: 500})
	if job := w.afterManyTries(tasks.StageDownload); job.State != tasks.Storing {
		t.Errorf("got %s (%+v)", job.State, job.Error)
	}
	w.run()
	w.checkDone("images")
}

// TestCreditsSaidToAPoll: want of credits, which the published schema lets any call answer, ends no job that
// is paid for, however long it lasts.
func TestCreditsSaidToAPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.untilStage(tasks.StagePoll)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 402, Code: codeCredits, Times: -1})
	w.forward(30 * time.Hour)
	if job := w.afterManyTries(tasks.StagePoll); job.State != tasks.Rendering || job.Hold == nil || job.Hold.Code != codeCredits {
		t.Errorf("got %s (%+v), hold %+v", job.State, job.Error, job.Hold)
	}
	w.fake.ClearFaults()
	w.run()
	w.checkDone("images")
}

// TestNeverTriedDuringAHold: a job that no worker has tried while its stage was held for days is tried.
func TestNeverTriedDuringAHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.hold(tasks.StageCreate)
	w.submit(images())
	w.forward(60 * time.Hour)
	w.release(tasks.StageCreate)
	w.run()
	w.checkDone("images")
}

// TestReleasedIntoAnOutage: a job says why it waits now, and not what it waited for before.
func TestReleasedIntoAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.hold(tasks.StageCreate)
	w.submit(images())
	w.checkHeld(byHand)
	w.release(tasks.StageCreate)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 503, Times: -1})
	for range 100 {
		w.forward(time.Hour)
		_ = w.step(w.waiting()[0])
	}
	if job := w.job("images"); job.State != tasks.Pending || job.Hold == nil || job.Hold.Code != codeTrouble {
		t.Errorf("got %s (%+v), hold %+v", job.State, job.Error, job.Hold)
	}
	w.fake.ClearFaults()
	w.run()
	w.checkDone("images")
}

// TestHeldCleanup: whoever holds the cleanup keeps the originals, and the jobs wait with them.
func TestHeldCleanup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.untilCleanup()
	w.hold(tasks.StageCleanup)
	for range 3 {
		w.forward(25 * time.Hour)
		w.checkHeld(byHand)
		if job := w.job("images"); job.State != tasks.Cleaning {
			t.Errorf("got %s, remote %v", job.State, job.Remote)
		}
	}
	w.release(tasks.StageCleanup)
	w.run()
	if job := w.checkDone("images"); *job.Remote != tasks.RemoteDeleted || w.fake.Totals().Deletes != 1 {
		t.Errorf("remote %s after %d deletes", *job.Remote, w.fake.Totals().Deletes)
	}
}

// TestThrottledForEver: being throttled costs no attempts, and still does not keep a job for ever.
func TestThrottledForEver(t *testing.T) {
	t.Parallel()
	for stage, call := range map[tasks.Stage]magichourtest.Call{tasks.StageCreate: magichourtest.Create, tasks.StagePoll: magichourtest.Poll} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.submit(images())
			w.untilStage(stage)
			w.fake.Inject(magichourtest.Fault{Call: call, Status: 429, Times: -1})
			for range 60 {
				w.forward(time.Hour)
				for _, info := range w.waiting() {
					_ = w.step(info)
				}
			}
			if job := w.job("images"); job.State != tasks.Failed || job.Error.Code != codeGaveUp {
				t.Errorf("after 60 h: %s (%+v), hold %+v", job.State, job.Error, job.Hold)
			}
		})
	}
}
