package pipeline

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestNoDeleteBeforeSecondProof changes what was proved after it was proved.
func TestNoDeleteBeforeSecondProof(t *testing.T) {
	t.Parallel()
	put := func(w *world, key, body string, o storage.PutOptions) {
		o.Size, o.Replace = int64(len(body)), true
		if _, err := w.store.Put(w.t.Context(), key, strings.NewReader(body), o); err != nil {
			w.t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		change func(w *world, job *tasks.Job)
		want   tasks.State
	}{
		{"somebody else's object stands there", func(w *world, _ *tasks.Job) {
			put(w, "images/2.png", "somebody else's", storage.PutOptions{})
		}, tasks.Failed},
		{"the copy has gone bad", func(w *world, job *tasks.Job) {
			put(w, "images/2.png", "rotten", storage.PutOptions{Metadata: map[string]string{"job": "images", "project": job.ProjectID, "source": job.Sources[1].Path}})
		}, tasks.Done},
		{"the copy has vanished", func(w *world, job *tasks.Job) {
			if err := os.Remove(strings.TrimPrefix(job.Outputs[1].URL, "file://")); err != nil {
				w.t.Fatal(err)
			}
		}, tasks.Done},
		{"the manifest says something else", func(w *world, job *tasks.Job) {
			put(w, "images/manifest.json", `{"v":1,"job_id":"images","project_id":"`+job.ProjectID+`","outputs":[]}`, storage.PutOptions{Metadata: map[string]string{"job": "images", "project": job.ProjectID}})
		}, tasks.Done},
		{"the project has one more file", func(w *world, job *tasks.Job) {
			w.fake.SetBehavior(job.ProjectID, magichourtest.Behavior{Outputs: 5})
		}, tasks.Done},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.submit(images())
			cleanup := w.untilCleanup()
			tt.change(w, w.job("images"))
			if err := w.step(cleanup); err != nil {
				t.Fatal(err)
			}
			if job := w.job("images"); job.State != tasks.Storing || job.Epoch != 2 || job.StoredAt != nil || len(job.Outputs) != 0 || len(job.Warnings) != 1 {
				t.Errorf("after the failed proof: %+v", job)
			}
			if got := w.fake.Totals().Deletes; got != 0 {
				t.Fatalf("%d deletes", got)
			}
			w.run()
			job := w.checkLaws("images")
			if job.State != tt.want {
				t.Fatalf("got %s (%+v), want %s", job.State, job.Error, tt.want)
			}
			if tt.want == tasks.Failed && (job.Error.Code != codeObjectExists || w.fake.Totals().Deletes != 0) {
				t.Errorf("got %+v after %d deletes", job.Error, w.fake.Totals().Deletes)
			}
			if tt.want == tasks.Done {
				w.checkDone("images")
			}
		})
	}
}

// TestProofIsMoreThanLength: bytes of the same length are other bytes.
func TestProofIsMoreThanLength(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	cleanup := w.untilCleanup()
	path := strings.TrimPrefix(w.job("images").Outputs[0].URL, "file://")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)/2] ^= 1
	if err := os.WriteFile(path, body, 0o600); err != nil { //nolint:gosec // a file of this test
		t.Fatal(err)
	}
	if err := w.step(cleanup); err != nil {
		t.Fatal(err)
	}
	if job := w.job("images"); job.State != tasks.Storing || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s after %d deletes", job.State, w.fake.Totals().Deletes)
	}
}

// TestEveryOutputOfNothing: a complete project without downloads is asked again, never deleted.
func TestEveryOutputOfNothing(t *testing.T) {
	t.Parallel()
	t.Run("from the first poll on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Behavior: magichourtest.Behavior{EmptyGets: -1}})
		w.submit(images())
		for range 10 {
			w.forward(time.Minute)
			for _, info := range w.waiting() {
				if err := w.step(info); err != nil {
					t.Fatal(err)
				}
			}
		}
		if job := w.job("images"); job.State != tasks.Rendering {
			t.Errorf("got %s, want rendering", job.State)
		}
		w.forward(25 * time.Hour)
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeGaveUp {
			t.Errorf("after the give-up time: got %s (%+v)", job.State, job.Error)
		}
		if got := w.fake.Totals().Deletes; got != 0 {
			t.Errorf("%d deletes", got)
		}
	})
	t.Run("when the cleanup looks", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		cleanup := w.untilCleanup()
		project := w.job("images").ProjectID
		w.fake.SetBehavior(project, magichourtest.Behavior{EmptyGets: -1})
		if err := w.step(cleanup); err == nil || errors.Is(err, asynq.SkipRetry) {
			t.Errorf("got %v, want to be run again", err)
		}
		if job := w.job("images"); job.State != tasks.Cleaning || w.fake.Totals().Deletes != 0 {
			t.Errorf("got %s after %d deletes", job.State, w.fake.Totals().Deletes)
		}
		w.fake.SetBehavior(project, magichourtest.Behavior{})
		w.run()
		w.checkDone("images")
	})
}
