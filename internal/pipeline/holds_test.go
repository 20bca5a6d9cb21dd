package pipeline

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// logged returns what the pipeline of a world logs from now on.
func (w *world) logged() *bytes.Buffer {
	log := new(bytes.Buffer)
	w.pipeline.log = slog.New(slog.NewTextHandler(log, nil))
	return log
}

// several submits jobs and returns the ids.
func (w *world) several(n int) []string {
	var ids []string
	for i := range n {
		r := images()
		r.ID = "job" + string(rune('a'+i))
		w.submit(r)
		ids = append(ids, r.ID)
	}
	return ids
}

// checkHeld steps every task once, and holds that it is held at no cost, and that its job says so.
func (w *world) checkHeld(code string) {
	w.t.Helper()
	for _, info := range w.waiting() {
		err := w.step(info)
		if err == nil || errors.Is(err, asynq.SkipRetry) || !strings.HasPrefix(err.Error(), "held: ") || costsAttempt(err) {
			w.t.Errorf("%s: got %v, want it held, at no cost", info.ID, err)
		}
		job := w.job(info.ID[:strings.Index(info.ID, ":")])
		if job.Hold == nil || job.Hold.Code != code || job.State.Settled() {
			w.t.Errorf("%s: got %s, hold %+v", job.ID, job.State, job.Hold)
		}
	}
}

// checkAllDone runs what is left, and holds that every job has come to its end.
func (w *world) checkAllDone(ids []string) {
	w.t.Helper()
	w.run()
	for _, id := range ids {
		if job := w.job(id); job.State != tasks.Done || job.Hold != nil {
			w.t.Errorf("%s: got %s (%+v), hold %+v", id, job.State, job.Error, job.Hold)
		}
	}
	if got := w.fake.Totals(); got.Creates != len(ids) || got.Violations != 0 || len(w.unproved) != 0 {
		w.t.Errorf("got %+v, %v", got, w.unproved)
	}
}

// TestFleetHeld: one finding spares the others, is logged once, and ends by itself when the account is well.
func TestFleetHeld(t *testing.T) {
	t.Parallel()
	t.Run("want of credits", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Credits: -1})
		log, ids := w.logged(), w.several(5)
		for range 4 {
			w.checkHeld(codeCredits)
			w.forward(20 * time.Minute)
			w.probe()
		}
		if got := countCalls(w, magichourtest.Create); got != 1 {
			t.Errorf("%d creates were asked for, want the first alone", got)
		}
		if got := strings.Count(log.String(), "fleet held"); got != 1 {
			t.Errorf("the hold is logged %d times:\n%s", got, log)
		}
		w.fake.SetCredits(100_000)
		w.checkAllDone(ids)
		if got := strings.Count(log.String(), "fleet goes on"); got != 1 {
			t.Errorf("its end is logged %d times", got)
		}
	})
	t.Run("rejected key", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		log, ids := w.logged(), w.several(5)
		w.fake.RevokeKey(true)
		for range 3 {
			w.checkHeld(codeUnauthorized)
			w.forward(time.Minute)
			w.probe()
		}
		holds, err := w.pipeline.holds.All(t.Context())
		if err != nil || len(holds) != 4 {
			t.Errorf("holds: got %+v, %v; want all four stages", holds, err)
		}
		if got := strings.Count(log.String(), "fleet held"); got != 1 {
			t.Errorf("the hold is logged %d times:\n%s", got, log)
		}
		w.fake.RevokeKey(false)
		w.checkAllDone(ids)
	})
	t.Run("what is bought goes on without credits", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.untilStage(tasks.StagePoll)
		w.fake.SetCredits(0)
		r := images()
		r.ID = "poor"
		w.submit(r)
		w.forward(time.Minute)
		for range 3 {
			for _, info := range w.waiting() {
				w.forward(15 * time.Second)
				_ = w.step(info)
			}
		}
		if job := w.job("images"); job.State != tasks.Done {
			t.Errorf("the job that is paid for is %s", job.State)
		}
		if job := w.job("poor"); job.State != tasks.Pending || job.Hold == nil {
			t.Errorf("the other one is %s, hold %+v", job.State, job.Hold)
		}
	})
}

func countCalls(w *world, call magichourtest.Call) int {
	n := 0
	for _, e := range w.fake.Ledger().Events {
		if e.Call == call {
			n++
		}
	}
	return n
}

// TestRefusalOfOneRequest: what one request may not have fails its job, and stops no other.
func TestRefusalOfOneRequest(t *testing.T) {
	t.Parallel()
	const call = magichourtest.Create
	for name, fault := range map[string]magichourtest.Fault{
		"plan":         {Call: call, Status: 402, Code: "plan_upgrade_required"},
		"subscription": {Call: call, Status: 402, Code: "subscription_required"},
		"403":          {Call: call, Status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.fake.Inject(fault)
			ids := w.several(2)
			w.run()
			failed, done := w.job(ids[0]), w.job(ids[1])
			if failed.State != tasks.Failed || failed.Error.Stage != "create" || failed.Error.Hint == "" {
				t.Errorf("got %s (%+v), hold %+v", failed.State, failed.Error, failed.Hold)
			}
			if done.State != tasks.Done {
				t.Errorf("the other job is %s, hold %+v", done.State, done.Hold)
			}
			if holds, err := w.pipeline.holds.All(t.Context()); err != nil || len(holds) != 0 {
				t.Errorf("holds: %+v, %v", holds, err)
			}
		})
	}
	t.Run("402 without a code, of an account that has credits", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		ids := w.several(2)
		w.fake.Inject(magichourtest.Fault{Call: call, Status: 402, Shape: magichourtest.MessageOnly, Times: -1})
		first := w.waiting()[0]
		for range 3 { // it may cost more than there is, or not be in the plan: held alone, until it is too old
			w.forward(10 * time.Hour)
			_ = w.step(first)
		}
		if job := w.job(ids[0]); job.State != tasks.Failed || job.Error.Code != codeRefused || job.Error.Hint == "" {
			t.Errorf("got %s (%+v), hold %+v", job.State, job.Error, job.Hold)
		}
		w.fake.ClearFaults()
		w.run()
		if job := w.job(ids[1]); job.State != tasks.Done {
			t.Errorf("the other job is %s, hold %+v", job.State, job.Hold)
		}
	})
	t.Run("402 without a code, of an empty account", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Credits: -1})
		w.fake.Inject(magichourtest.Fault{Call: call, Status: 402, Shape: magichourtest.MessageOnly})
		w.several(2)
		w.checkHeld(codeCredits)
	})
}

// TestMended: a balance that does not grow does not hold the fleet for ever.
func TestMended(t *testing.T) {
	t.Parallel()
	five := 5
	tests := []struct {
		name    string
		hold    StageHold
		credits int
		want    bool
	}{
		{"the key is taken again", StageHold{Code: codeUnauthorized}, 0, true},
		{"still empty", StageHold{Code: codeCredits, Credits: new(int), Since: noon}, 0, false},
		{"filled", StageHold{Code: codeCredits, Credits: new(int), Since: noon}, 1, true},
		{"not more than was not enough", StageHold{Code: codeCredits, Credits: &five, Since: noon}, 5, false},
		{"more", StageHold{Code: codeCredits, Credits: &five, Since: noon}, 6, true},
		{"not more, but for long", StageHold{Code: codeCredits, Credits: &five, Since: noon.Add(-time.Hour)}, 5, true},
		{"empty for long", StageHold{Code: codeCredits, Credits: &five, Since: noon.Add(-time.Hour)}, 0, false},
		{"nobody knows what there was", StageHold{Code: codeCredits, Since: noon}, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := at(noon).mended(tt.hold, tt.credits); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestHeldByHand: a stage stands still until it is released, and the account has no say in it.
func TestHeldByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	holds := NewHolds(w.plain)
	if isNew, err := holds.ByHand(t.Context(), tasks.StageDownload, "the bucket moves"); err != nil || !isNew {
		t.Fatal(isNew, err)
	}
	if isNew, err := holds.ByHand(t.Context(), tasks.StageDownload, ""); err != nil || isNew {
		t.Errorf("again: new %v, %v", isNew, err)
	}
	w.submit(images())
	download := w.untilStage(tasks.StageDownload)
	w.forward(30 * time.Hour) // far beyond the give-up time
	w.checkHeld(byHand)
	w.probe()
	w.checkHeld(byHand)
	if job := w.job("images"); !strings.Contains(job.Hold.Message, "the bucket moves") || w.fake.Totals().Downloads != 0 {
		t.Errorf("got %+v after %d downloads", job.Hold, w.fake.Totals().Downloads)
	}
	if released, err := holds.Release(t.Context(), tasks.StageDownload); err != nil || len(released) != 1 {
		t.Fatalf("released %+v, %v", released, err)
	}
	w.forward(holdsValid)
	if err := w.step(download); err != nil {
		t.Error(err)
	}
	w.run()
	w.checkDone("images")
}
