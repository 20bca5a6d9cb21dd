package pipeline

import (
	"errors"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestKilledWhileItTellsTheFleet: a job that was refused for want of credits is not parked because its worker
// died while it asked for the account.
func TestKilledWhileItTellsTheFleet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Credits: -1})
	w.submit(images())
	w.on["http GET before"] = w.process.kill
	if err := w.step(w.waiting()[0]); !errors.Is(err, errKilled) {
		t.Fatalf("got %v, want it killed", err)
	}
	_ = w.step(w.waiting()[0])
	if job := w.job("images"); job.State != tasks.Pending || job.Hold == nil || job.Hold.Code != codeCredits {
		t.Errorf("got %s (%+v), hold %+v", job.State, job.Error, job.Hold)
	}
	w.fake.SetCredits(100_000)
	w.checkAllDone([]string{"images"})
}

// TestAccountThatDoesNotAnswer: the fleet is not held for ever because nobody can ask whether it still is to be.
func TestAccountThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Credits: -1})
	w.submit(images())
	w.checkHeld(codeCredits)
	w.fake.SetCredits(100_000)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Account, Status: 404, Times: -1})
	w.forward(time.Minute)
	w.probe()
	w.checkHeld(codeCredits) // not at once
	w.forward(tryAnyway)
	w.checkAllDone([]string{"images"})
}

// TestWrongKeyTakesNoTurn: a worker with a wrong key that is always first to ask keeps none with a good
// one from finding out that the account is well.
func TestWrongKeyTakesNoTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Key: "key"})
	wrong := w.worker(w.begin(), "wrong")
	ids := w.several(3)
	first := w.waiting()[0]
	if err := wrong.Handle(t.Context(), asynq.NewTask(first.Type, first.Payload)); err == nil {
		t.Fatal("a wrong key was taken")
	}
	w.checkHeld(codeUnauthorized)
	for range 2 {
		w.forward(probeEvery + 2*time.Second)
		if err := wrong.probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.forward(3 * time.Second)
		w.probe()
	}
	if holds, err := w.pipeline.holds.All(t.Context()); err != nil || len(holds) != 0 {
		t.Errorf("with a good key in the fleet: %d holds, %v", len(holds), err)
	}
	w.checkAllDone(ids)
}
