package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestLateDecision: a download that another handler has overtaken, all the way to the end, does
// not bring the job back.
func TestLateDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	download := w.untilStage(tasks.StageDownload)
	task := asynq.NewTask(download.Type, download.Payload)
	w.on["store put before"] = func() {
		if err := w.handle(t.Context(), task); err != nil {
			t.Errorf("the other handler: %v", err)
		}
		cleanup := w.beside(download)
		if err := w.step(cleanup); err != nil {
			t.Errorf("the other handler's cleanup: %v", err)
		}
	}
	_ = w.handle(t.Context(), task)
	if job := w.job("images"); job.State != tasks.Done || job.Epoch != 1 {
		t.Errorf("got %s in epoch %d, want it to stay done", job.State, job.Epoch)
	}
	if got := w.fake.Totals(); got.Deletes != 1 || len(w.unproved) != 0 {
		t.Errorf("%d deletes; %v", got.Deletes, w.unproved)
	}
}

// beside returns the task that waits beside one that is still running.
func (w *world) beside(running *asynq.TaskInfo) *asynq.TaskInfo {
	w.t.Helper()
	for _, info := range w.waiting() {
		if info.ID != running.ID {
			return info
		}
	}
	w.t.Fatal("nothing waits beside it")
	return nil
}

// TestLateDelete: a cleanup that was frozen after its proof does not delete when the job has been
// sent back to be copied.
func TestLateDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	cleanup := w.untilCleanup()
	heads := 0
	var freeze func()
	freeze = func() {
		if heads++; heads < 4 {
			w.on["store head after"] = freeze
			return
		}
		r, err := w.pipeline.load(t.Context(), "images")
		if err != nil {
			t.Error(err)
			return
		}
		if err := w.pipeline.putBack(t.Context(), r, unproved(errUnproved)); err != nil {
			t.Error(err)
		}
	}
	w.on["store head after"] = freeze
	_ = w.handle(t.Context(), asynq.NewTask(cleanup.Type, cleanup.Payload))
	if job := w.job("images"); job.State != tasks.Storing || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s after %d deletes, want it storing and nothing deleted", job.State, w.fake.Totals().Deletes)
	}
}

// TestFailureIsArchivedAgain: the worker died after it had saved the failure.
func TestFailureIsArchivedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Behavior: magichourtest.Behavior{Error: "no_source_face"}})
	w.submit(images())
	poll := w.untilStage(tasks.StagePoll)
	w.forward(time.Hour)
	for range 2 {
		err := w.handle(t.Context(), asynq.NewTask(poll.Type, poll.Payload))
		if !errors.Is(err, asynq.SkipRetry) || !strings.Contains(err.Error(), "no_source_face") {
			t.Errorf("got %v, want it archived with the reason", err)
		}
	}
}

// TestExpiredURL: a URL that has expired since it was asked for is asked for once more.
func TestExpiredURL(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403, 404, 410} {
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		download := w.untilStage(tasks.StageDownload)
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Download, Status: status})
		if err := w.step(download); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		w.run()
		w.checkDone("images")
	}
}

// TestFirstPollIsPlanned: the moment after a create is the worst one to ask.
func TestFirstPollIsPlanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	poll := w.untilStage(tasks.StagePoll)
	if wait := time.Until(poll.NextProcessAt); poll.State != asynq.TaskStateScheduled || wait < 5*time.Second || wait > 11*time.Second {
		t.Errorf("poll 1 is %s, in %v; want it scheduled in 10s", poll.State, wait)
	}
}

// TestNothingStaysBehind: what is kept beside the record of a job ends with it.
func TestNothingStaysBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.run()
	project := w.checkDone("images").ProjectID
	if ttl := w.redis.TTL("hourglass:{fleet}:project:" + project); ttl <= 0 {
		t.Errorf("the claim of the project stays for ever (%v)", ttl)
	}
	if w.redis.Exists("hourglass:{fleet}:deadlines") {
		t.Error("the deadline stays")
	}
	w.forward(month) // longer than is known how long renders take
	w.sweep()
	for _, key := range w.redis.Keys() {
		if strings.HasPrefix(key, "hourglass:") && key != records.Events { // which is bounded
			t.Errorf("%s stays behind", key)
		}
	}
}

// TestIndexKeepsItsTime: a poll is no change of state, and what waits for a person is not forgotten.
func TestIndexKeepsItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: map[string]time.Duration{"": time.Hour}})
	w.submit(images())
	poll := w.untilStage(tasks.StagePoll)
	entered := func(state tasks.State) records.Moment {
		t.Helper()
		entries, err := w.pipeline.records.Latest(t.Context(), string(state), 0, 10)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%s: got %v, %v; want one", state, entries, err)
		}
		return entries[0].At
	}
	since, at := w.job("images").StateAt, entered(tasks.Rendering)
	w.forward(time.Minute)
	if err := w.step(poll); err != nil {
		t.Fatal(err)
	}
	job := w.job("images")
	if job.Polls < 2 || !job.StateAt.Equal(since) || entered(tasks.Rendering) != at {
		t.Errorf("after poll %d: rendering since %v (index %d), want %v (%d)", job.Polls-1, job.StateAt, entered(tasks.Rendering), since, at)
	}

	other := newWorld(t, magichourtest.Options{})
	other.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 500})
	other.submit(images())
	other.run()
	other.checkLaws("images")
	other.forward(30 * 24 * time.Hour)
	other.sweep()
	if got := other.checkLaws("images").State; got != tasks.Unknown {
		t.Errorf("got %s, want unknown, and listed as such a month later", got)
	}
}

// TestStrayEntry: a Submit that dies before it writes the record leaves nothing behind for ever.
func TestStrayEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	if _, err := w.pipeline.records.EnsureEntered(t.Context(), string(tasks.Pending), "stray"); err != nil {
		t.Fatal(err)
	}
	if err := w.pipeline.records.SetDeadline(t.Context(), "stray", time.Minute); err != nil {
		t.Fatal(err)
	}
	w.forward(2 * time.Hour)
	w.sweep()
	if entries, err := w.pipeline.records.Latest(t.Context(), string(tasks.Pending), 0, 10); err != nil || len(entries) != 0 {
		t.Errorf("got %v, %v; want none", entries, err)
	}
}

// TestDeadlineSetMeanwhile: a handler that parks a job must not clear the deadline of another one
// that has put it back on the road just then.
func TestDeadlineSetMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.on["http POST after"] = w.process.kill
	if err := w.step(w.waiting()[0]); !errors.Is(err, errKilled) {
		t.Fatalf("got %v, want it killed", err)
	}
	token, project := w.job("images").Mark().Token, w.fake.Projects()[0].ID
	var late func()
	late = func() {
		if w.job("images").State != tasks.Unknown {
			w.on["redis evalsha before"] = late
			return
		}
		// Parked, and about to clear its deadline: now the other handler learns its answer.
		r, err := w.pipeline.load(t.Context(), "images")
		if err != nil {
			t.Error(err)
			return
		}
		if err := w.pipeline.attach(t.Context(), r, token, magichour.Created{ID: project}); err != nil {
			t.Error(err)
		}
	}
	w.on["redis evalsha before"] = late
	if err := w.step(w.waiting()[0]); err != nil {
		t.Fatal(err)
	}
	if job := w.job("images"); job.State != tasks.Rendering {
		t.Fatalf("got %s, want rendering", job.State)
	}
	if at, err := w.pipeline.records.Deadline(t.Context(), "images"); at == "" || err != nil {
		t.Errorf("the job has no deadline any more (%v)", err)
	}
	w.run()
	w.checkDone("images")
}

// checkUndeleted checks how many jobs are counted as done but for their remote project.
func (w *world) checkUndeleted(want int64) {
	w.t.Helper()
	if got, err := w.pipeline.Undeleted(w.t.Context()); got != want || err != nil {
		w.t.Errorf("%d jobs are undeleted, %v; want %d", got, err, want)
	}
}

// TestUndeletedIsTriedDaily: a delete that kept failing is not forgotten.
func TestUndeletedIsTriedDaily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	cleanup := w.untilCleanup()
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Delete, Status: 500, Times: 2})
	if err := w.step(cleanup); err == nil {
		t.Error("the delete did not fail")
	}
	w.forward(25 * time.Hour)
	if err := w.step(cleanup); err != nil {
		t.Error(err)
	}
	if job := w.job("images"); job.State != tasks.Done || *job.Remote != tasks.RemotePending || job.RemoteReason == nil {
		t.Errorf("after a day: got %s, remote %v", job.State, job.Remote)
	}
	if w.sweep() {
		t.Error("tried again at once")
	}
	w.checkUndeleted(1)
	w.forward(24 * time.Hour)
	w.run()
	w.checkUndeleted(0)
	if job := w.checkDone("images"); *job.Remote != tasks.RemoteDeleted || job.RemoteReason != nil || w.fake.Totals().Deletes != 1 {
		t.Errorf("a day later: got remote %v because %v", *job.Remote, job.RemoteReason)
	}
}

// TestAgeAloneEndsNothing: after a day without workers, a paid job gets its chance; a held one
// waits for a person for as long as it takes.
func TestAgeAloneEndsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	download := w.untilStage(tasks.StageDownload)
	w.forward(30 * time.Hour)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Download, Status: 500})
	if err := w.step(download); err == nil || errors.Is(err, asynq.SkipRetry) {
		t.Errorf("got %v, want another try", err)
	}
	w.fake.RevokeKey(true)
	for range 5 {
		if err := w.step(download); err == nil || errors.Is(err, asynq.SkipRetry) {
			t.Errorf("got %v, want it held", err)
		}
	}
	w.fake.RevokeKey(false)
	w.run()
	w.checkDone("images")
}

// TestNotFoundIsNotDeleted: a 404 right before the DELETE may come from a replica that lags, or
// from another account's key; only one that lasts says that the project is gone.
func TestNotFoundIsNotDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	cleanup := w.untilCleanup()
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 404, Times: 3})
	for range 3 {
		if err := w.step(cleanup); err == nil || costsAttempt(err) {
			t.Errorf("got %v, want another look, at no cost", err)
		}
	}
	w.run()
	if job := w.checkDone("images"); job.RemoteReason != nil || w.fake.Totals().Deletes != 1 {
		t.Errorf("got %d deletes, and remote %s because %v", w.fake.Totals().Deletes, *job.Remote, job.RemoteReason)
	}
}

// TestNoPurchaseBeginsWhileStopping: a handler that is told to stop before it has marked the job
// leaves it as it is.
func TestNoPurchaseBeginsWhileStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	info := w.waiting()[0]
	ctx, stop := context.WithCancel(t.Context())
	w.on["store head after"] = stop
	if err := w.handle(ctx, asynq.NewTask(info.Type, info.Payload)); err == nil || costsAttempt(err) {
		t.Errorf("got %v, want it back in the queue at no cost", err)
	}
	if job := w.job("images"); job.State != tasks.Pending || len(job.Attempts) != 0 {
		t.Errorf("got %s after the attempts %v", job.State, job.Attempts)
	}
	w.run()
	w.checkDone("images")
}
