package pipeline

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// createTask is the create task of the images job, as it may run again at any time.
func (w *world) createTask() *asynq.Task {
	w.t.Helper()
	job, err := tasks.NewJob(images(), noon)
	if err != nil {
		w.t.Fatal(err)
	}
	task, err := tasks.NewTask(job.Next())
	if err != nil {
		w.t.Fatal(err)
	}
	return task
}

// TestPurchaseInTrouble: what is provably not bought is tried again, what may have been bought
// is parked, and nothing is ever bought twice.
func TestPurchaseInTrouble(t *testing.T) {
	t.Parallel()
	const call = magichourtest.Create
	tests := []struct {
		name    string
		fault   magichourtest.Fault
		want    tasks.State
		creates int
		code    string
	}{
		{"502 page of a proxy", magichourtest.Fault{Call: call, Status: 502, Shape: magichourtest.HTML, Times: 3}, tasks.Done, 1, ""},
		{"503", magichourtest.Fault{Call: call, Status: 503, Times: 3}, tasks.Done, 1, ""},
		{"429", magichourtest.Fault{Call: call, Status: 429, RetryAfter: "3", Times: 20}, tasks.Done, 1, ""},
		{"422", magichourtest.Fault{Call: call, Status: 422}, tasks.Failed, 0, "unprocessable_entity"},
		{"500", magichourtest.Fault{Call: call, Status: 500}, tasks.Unknown, 0, codeUnknownOutcome},
		{"504", magichourtest.Fault{Call: call, Status: 504, Shape: magichourtest.Empty}, tasks.Unknown, 0, codeUnknownOutcome},
		{"reset before it was read", magichourtest.Fault{Call: call, Do: magichourtest.Reset}, tasks.Unknown, 0, codeUnknownOutcome},
		{"answer lost after it was charged", magichourtest.Fault{Call: call, Do: magichourtest.Reset, After: true}, tasks.Unknown, 1, codeUnknownOutcome},
		{"answer that can't be read", magichourtest.Fault{Call: call, Do: magichourtest.Garbage}, tasks.Unknown, 1, codeUnknownOutcome},
		{"404", magichourtest.Fault{Call: call, Status: 404, Shape: magichourtest.MessageOnly}, tasks.Failed, 0, codeRefused},
		{"plan", magichourtest.Fault{Call: call, Status: 402, Code: "plan_upgrade_required"}, tasks.Failed, 0, "plan_upgrade_required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.fake.Inject(tt.fault)
			w.submit(images())
			w.run()
			job := w.checkLaws("images")
			if job.State != tt.want || w.fake.Totals().Creates != tt.creates {
				t.Errorf("got %s (%+v) after %d creates, want %s after %d", job.State, job.Error, w.fake.Totals().Creates, tt.want, tt.creates)
			}
			if tt.code != "" && job.Error.Code != tt.code {
				t.Errorf("code: got %q, want %q", job.Error.Code, tt.code)
			}
			if job.State == tasks.Unknown && !strings.Contains(job.Error.Hint, "[images~"+job.Mark().Token+"]") {
				t.Errorf("the hint does not name the project: %s", job.Error.Hint)
			}
			if w.fake.Totals().Deletes != 0 && tt.want != tasks.Done {
				t.Error("something was deleted")
			}
		})
	}
}

func TestHeld(t *testing.T) {
	t.Parallel()
	t.Run("want of credits", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Credits: -1})
		w.submit(images())
		var since time.Time
		for range 20 {
			w.forward(time.Minute)
			w.probe()
			err := w.step(w.waiting()[0])
			if err == nil || errors.Is(err, asynq.SkipRetry) || !strings.HasPrefix(err.Error(), "held: ") || costsAttempt(err) {
				t.Fatalf("got %v, want it held, at no cost", err)
			}
			job := w.job("images")
			if job.State != tasks.Pending || job.Hold == nil || job.Hold.Code != codeCredits {
				t.Fatalf("got %s, hold %+v", job.State, job.Hold)
			}
			if since.IsZero() {
				since = job.Hold.Since
			}
			if job.Hold.Since != since {
				t.Errorf("held since %v, and then since %v", since, job.Hold.Since)
			}
		}
		w.fake.SetCredits(1000)
		w.run()
		if job := w.checkDone("images"); job.Hold != nil {
			t.Errorf("still held: %+v", job.Hold)
		}
	})
	t.Run("rejected key, in every stage", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		for range 50 {
			infos := w.waiting()
			if len(infos) == 0 {
				break
			}
			w.forward(10 * time.Second)
			w.fake.RevokeKey(true)
			if err := w.step(infos[0]); err == nil || !strings.HasPrefix(err.Error(), "held: ") {
				t.Errorf("%s: got %v, want it held", infos[0].ID, err)
			}
			if job := w.job("images"); job.Hold == nil || job.State.Settled() {
				t.Errorf("%s: got %s, hold %+v", infos[0].ID, job.State, job.Hold)
			}
			w.fake.RevokeKey(false)
			w.forward(probeEvery)
			w.probe()
			if err := w.step(infos[0]); err != nil {
				t.Errorf("%s: %v", infos[0].ID, err)
			}
		}
		if job := w.checkDone("images"); job.Hold != nil {
			t.Errorf("still held: %+v", job.Hold)
		}
	})
}

// TestTruthThatComesLate: a handler that was frozen in the middle of its purchase learns the
// project after another worker has parked the job.
func TestTruthThatComesLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.on["http POST after"] = func() {
		w.forward(2 * time.Minute)
		if err := w.handle(t.Context(), w.createTask()); err != nil {
			t.Errorf("the other worker: %v", err)
		}
		if job := w.job("images"); job.State != tasks.Unknown {
			t.Errorf("the other worker left it %s, want unknown", job.State)
		}
	}
	w.run()
	if job := w.checkDone("images"); job.Epoch != 2 || job.Error != nil {
		t.Errorf("got epoch %d, error %+v", job.Epoch, job.Error)
	}
}

// TestOldMark: a handler that was frozen before the POST does not buy, and gives the mark back.
func TestOldMark(t *testing.T) {
	t.Parallel()
	t.Run("nobody has noticed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.on["http POST before"] = func() { w.forward(markLife + time.Second) }
		if err := w.step(w.waiting()[0]); err == nil {
			t.Error("bought with an old mark")
		}
		if got := w.fake.Totals().Creates; got != 0 {
			t.Errorf("%d creates", got)
		}
		w.run()
		w.checkDone("images")
	})
	t.Run("another worker has parked the job", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.on["http POST before"] = func() {
			w.forward(2 * time.Minute)
			if err := w.handle(t.Context(), w.createTask()); err != nil {
				t.Errorf("the other worker: %v", err)
			}
		}
		if err := w.step(w.waiting()[0]); err != nil {
			t.Error(err)
		}
		if job := w.job("images"); job.State != tasks.Pending || job.Epoch != 2 || job.Error != nil {
			t.Errorf("got %s in epoch %d (%+v), want it given back", job.State, job.Epoch, job.Error)
		}
		w.run()
		w.checkDone("images")
	})
	t.Run("parked within the mark's life", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.on["http POST before"] = func() {
			if err := w.handle(t.Context(), w.createTask()); err != nil {
				t.Errorf("the other worker: %v", err)
			}
		}
		if err := w.step(w.waiting()[0]); err != nil {
			t.Error(err)
		}
		if job := w.job("images"); job.State != tasks.Pending || w.fake.Totals().Creates != 0 {
			t.Errorf("got %s after %d creates, want it given back and nothing bought", job.State, w.fake.Totals().Creates)
		}
		w.run()
		w.checkDone("images")
	})
}

// TestDoneBefore: a job whose record is gone, but whose files are there, is not bought again.
func TestDoneBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.run()
	w.checkDone("images")
	w.forward(8 * 24 * time.Hour)
	if _, err := w.client.Job(t.Context(), "images"); !errors.Is(err, tasks.ErrNotFound) {
		t.Fatalf("got %v, want the record expired", err)
	}
	w.submit(images())
	w.run()
	if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeAlreadyStored {
		t.Errorf("got %s (%+v)", job.State, job.Error)
	}
}

// TestObjectInTheWay: somebody else's object is never overwritten, unless the caller says so.
func TestObjectInTheWay(t *testing.T) {
	t.Parallel()
	for name, overwrite := range map[string]bool{"never silently": false, "unless told": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			if _, err := w.store.Put(t.Context(), "images/2.png", strings.NewReader("mine"), storage.PutOptions{Size: 4}); err != nil {
				t.Fatal(err)
			}
			r := images()
			r.Options.Overwrite = overwrite
			w.submit(r)
			w.run()
			if overwrite {
				w.checkDone("images")
				return
			}
			if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeObjectExists || w.fake.Totals().Deletes != 0 {
				t.Errorf("got %s (%+v) after %d deletes", job.State, job.Error, w.fake.Totals().Deletes)
			}
		})
	}
}

// TestAnswerAboutAProjectOfAnotherJob parks the job: two jobs must not follow one project.
func TestAnswerAboutAProjectOfAnotherJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.on["http POST after"] = func() {
		if _, err := w.pipeline.records.Claim(t.Context(), w.fake.Projects()[0].ID, "other"); err != nil {
			t.Error(err)
		}
	}
	w.run()
	if job := w.checkLaws("images"); job.State != tasks.Unknown || job.Error.Code != codeClaimed || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s (%+v)", job.State, job.Error)
	}
}

// TestRedisFailsAfterThePurchase: what was bought is not forgotten while Redis fails over.
func TestRedisFailsAfterThePurchase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.on["http POST after"] = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i := range 3 {
			w.fail[len(w.calls)+i] = errors.New("READONLY You can't write against a read only replica")
		}
	}
	w.run()
	w.checkDone("images")
}

// TestAnswerAboutAProjectOfBefore parks the job: with a project that it has had already, nobody knows what
// was bought, and it must not be bought again for that.
func TestAnswerAboutAProjectOfBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.on["http POST after"] = func() {
		w.change("images", func(job *tasks.Job) { job.Earlier = append(job.Earlier, w.fake.Projects()[0].ID) })
	}
	w.run()
	if job := w.checkLaws("images"); job.State != tasks.Unknown || job.Error.Code != codeClaimed || job.Mark() == nil {
		t.Errorf("got %s (%+v), mark %v", job.State, job.Error, job.Mark())
	}
}
