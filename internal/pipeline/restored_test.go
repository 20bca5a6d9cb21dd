package pipeline

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// backup returns the record of the job as it stands, and restore brings it back. Of what was enqueued since,
// a restored Redis knows nothing.
func (w *world) backup() map[string]string {
	w.t.Helper()
	fields, err := w.plain.HGetAll(w.t.Context(), "hourglass:{images}:record").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return fields
}

func (w *world) restore(backup map[string]string) {
	w.t.Helper()
	if err := w.plain.HSet(w.t.Context(), "hourglass:{images}:record", backup).Err(); err != nil {
		w.t.Fatal(err)
	}
	for _, info := range w.waiting() {
		if err := w.inspector.DeleteTask(info.Queue, info.ID); err != nil {
			w.t.Fatal(err)
		}
	}
	in := "hourglass:{fleet}:jobs:" + string(w.job("images").State)
	if err := w.plain.ZAdd(w.t.Context(), in, redis.Z{Score: float64(w.clock().UnixMicro()), Member: "images"}).Err(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) parkRestored(before time.Time) (ids []string) {
	w.t.Helper()
	for job, err := range w.client.ParkRestored(w.t.Context(), before) {
		if err != nil {
			w.t.Error(err)
			continue
		}
		ids = append(ids, job.ID)
	}
	return ids
}

// checkParkedAnew holds that the job waits for a person who looks for any of its projects: which
// purchase came last, the backup does not know.
func (w *world) checkParkedAnew(restored time.Time) {
	w.t.Helper()
	if ids := w.parkRestored(restored); len(ids) != 1 {
		w.t.Errorf("parked: %v, want the job", ids)
	}
	job := w.job("images")
	if job.State != tasks.Unknown || job.Mark() == nil || job.Mark().Token != "" {
		w.t.Fatalf("got %s (%+v), attempts %+v; want it parked anew", job.State, job.Error, job.Attempts)
	}
	for _, a := range job.Attempts {
		if a.Token != "" && strings.Contains(job.Error.Hint, a.Token) {
			w.t.Errorf("the hint names a token of the backup: %s", job.Error.Hint)
		}
	}
	if !strings.Contains(job.Error.Hint, `"[images~"`) {
		w.t.Errorf("the hint does not say what to look for: %s", job.Error.Hint)
	}
	if ids := w.parkRestored(restored); len(ids) != 0 {
		w.t.Errorf("parked again: %v", ids)
	}
	creates := w.fake.Totals().Creates
	w.run()
	if got := w.fake.Totals().Creates; got != creates || w.job("images").State != tasks.Unknown {
		w.t.Errorf("%d more creates, and the job is %s", got-creates, w.job("images").State)
	}
}

// TestRestored: whatever a backup says of a job without a project, it may have been bought since.
func TestRestored(t *testing.T) {
	t.Parallel()
	t.Run("touched by a sweeper after the restore", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		create := w.waiting()[0]
		w.on["store head before"] = w.process.kill // between first sight and the mark
		if err := w.takeUp(create); !errors.Is(err, errKilled) {
			t.Fatalf("got %v, want it killed", err)
		}
		w.activate(create)
		w.forward(time.Hour)
		restored := w.clock()
		w.forward(10 * time.Minute)
		if _, err := w.pipeline.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.checkParkedAnew(restored)
	})
	t.Run("a bare task that was under way", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		w.activate(w.waiting()[0])
		w.forward(time.Hour)
		w.checkParkedAnew(w.clock())
	})
	t.Run("marked, and bought under another mark since", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		create := w.waiting()[0]
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 503})
		var backup map[string]string
		w.on["http POST before"] = func() { backup = w.backup() }
		_ = w.takeUp(create) // refused, so that its mark is given back
		if err := w.step(create); err != nil {
			t.Fatal(err)
		}
		w.restore(backup)
		w.checkParkedAnew(w.clock().Add(time.Hour))
	})
	t.Run("unknown, and bought anew by a person since", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset})
		w.submit(images())
		if err := w.step(w.waiting()[0]); err != nil {
			t.Fatal(err)
		}
		backup := w.backup()
		w.resolve(tasks.Resolution{Recreate: true})
		if err := w.step(w.waiting()[0]); err != nil || w.fake.Totals().Creates != 1 {
			t.Fatalf("%v, %d creates", err, w.fake.Totals().Creates)
		}
		w.restore(backup)
		w.checkParkedAnew(w.clock().Add(time.Hour))
	})
}
