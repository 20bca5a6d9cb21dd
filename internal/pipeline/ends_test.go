package pipeline

import (
	"errors"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestEndsBadly: renders that fail or are canceled, and deletes that are refused.
func TestEndsBadly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		behavior magichourtest.Behavior
		state    tasks.State
		code     string
		remote   tasks.Remote
		credits  int
	}{
		{"the render fails", magichourtest.Behavior{Error: "no_source_face"}, tasks.Failed, "no_source_face", "", 0},
		{"somebody cancels it", magichourtest.Behavior{Canceled: true}, tasks.Canceled, "", "", 0},
		{"templates can't be deleted", magichourtest.Behavior{DeleteStatus: 422}, tasks.Done, "", tasks.RemoteKept, 20},
		{"a file whose end nobody announces", magichourtest.Behavior{Body: magichourtest.Short}, tasks.Done, "", tasks.RemoteKept, 20},
		{"the key may not delete", magichourtest.Behavior{DeleteStatus: 403}, tasks.Done, "", tasks.RemoteKept, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Behavior: tt.behavior})
			w.submit(images())
			w.run()
			job := w.checkLaws("images")
			if job.State != tt.state || job.CreditsCharged != tt.credits {
				t.Errorf("got %s (%+v) for %d credits, want %s for %d", job.State, job.Error, job.CreditsCharged, tt.state, tt.credits)
			}
			if tt.code != "" && (job.Error == nil || job.Error.Code != tt.code || job.Error.Stage != "poll") {
				t.Errorf("got %+v, want code %s", job.Error, tt.code)
			}
			if tt.remote != "" && (*job.Remote != tt.remote || job.RemoteReason == nil) {
				t.Errorf("remote: got %v because %v, want %s", job.Remote, job.RemoteReason, tt.remote)
			}
			if got := w.fake.Totals().Deletes; got != 0 {
				t.Errorf("%d deletes", got)
			}
			archived := 0
			for _, stage := range tasks.Stages() {
				infos, err := w.inspector.ListArchivedTasks(stage.Queue())
				if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
					t.Fatal(err)
				}
				archived += len(infos)
			}
			if want := map[bool]int{true: 1, false: 0}[tt.state == tasks.Failed]; archived != want {
				t.Errorf("%d archived tasks, want %d", archived, want)
			}
		})
	}
}

// TestGone: a project that disappears is waited for, and then the job fails, unless its files
// are there all the same.
func TestGone(t *testing.T) {
	t.Parallel()
	t.Run("while rendering", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Behavior: magichourtest.Behavior{MissingGets: 1000}})
		w.submit(images())
		w.run()
		job := w.checkLaws("images")
		if job.State != tasks.Failed || job.Error.Code != codeRemoteGone || job.DoneAt.Sub(*job.MissingSince) < believedAfter {
			t.Errorf("got %s (%+v), missing since %v", job.State, job.Error, job.MissingSince)
		}
	})
	t.Run("the record has lost its last steps", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		for range 2 {
			if err := w.step(w.waiting()[0]); err != nil {
				t.Fatal(err)
			}
			w.forward(10 * time.Second)
		}
		old := w.job("images") // as it was before the download
		poll := *old
		poll.State, poll.Sources, poll.RemoteStatus = tasks.Rendering, nil, ""
		w.run()
		w.checkDone("images")
		r, err := w.pipeline.load(t.Context(), "images")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.pipeline.save(t.Context(), r, poll.Clone(), 0); err != nil {
			t.Fatal(err)
		}
		w.enqueue(poll.Next())
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Done || len(job.Outputs) != 4 || w.fake.Totals().Creates != 1 {
			t.Errorf("got %s (%+v)", job.State, job.Error)
		}
	})
}
