package pipeline

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// newWindow makes a world with a window of so many renders.
func newWindow(t *testing.T, renders int) *world {
	t.Helper()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.open(renders)
	return w
}

// open starts a worker that knows another limit.
func (w *world) open(renders int) {
	w.renders = renders
	w.start()
}

// witnessPurchase holds, right before a project is bought, that there is room for it at the API.
func (w *world) witnessPurchase() {
	if w.renders == 0 {
		return
	}
	if n := w.rendering(); n >= w.renders {
		w.t.Errorf("bought while %d projects are rendering, of %d that may", n, w.renders)
	}
}

func (w *world) rendering() (n int) {
	for _, p := range w.fake.Projects() {
		if p.Status == "queued" || p.Status == "rendering" {
			n++
		}
	}
	return n
}

// bought are the jobs of the projects, in the order in which they were bought.
func (w *world) bought() (jobs []string) {
	for _, p := range w.fake.Projects() {
		jobs = append(jobs, p.Name[strings.LastIndex(p.Name, "[")+1:strings.LastIndex(p.Name, "~")])
	}
	return jobs
}

func (w *world) checkWindow(used, waiting int64) {
	w.t.Helper()
	got, err := w.pipeline.Window(w.t.Context())
	if err != nil || got.Used != used || got.Waiting != waiting {
		w.t.Errorf("the window has %d in and %d waiting (%v), want %d and %d", got.Used, got.Waiting, err, used, waiting)
	}
}

func voice(id string, o tasks.Options) tasks.Request {
	return tasks.Request{ID: id, Operation: "ai-voice-generator", Body: requests()[2].Body, Options: o}
}

// stepAll runs every task once that waits.
func (w *world) stepAll() {
	w.t.Helper()
	for _, info := range w.due() {
		if err := w.step(info); err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestWindowTakesTurns(t *testing.T) {
	t.Parallel()
	w := newWindow(t, 2)
	var want []string
	for n := range 8 {
		w.submit(voice(fmt.Sprintf("a%d", n), tasks.Options{Tenant: "a"}))
	}
	w.stepAll()
	w.checkWindow(2, 6)
	if got := w.waiting(); len(got) != 2 {
		t.Errorf("%d tasks for two jobs that render and six that wait", len(got))
	}
	job := w.job("a7")
	if job.State != tasks.Pending || job.Hold == nil || job.Hold.Code != codeWindow {
		t.Errorf("a job that waits is %s, held by %+v", job.State, job.Hold)
	}
	for n := range 2 {
		w.submit(voice(fmt.Sprintf("b%d", n), tasks.Options{Tenant: "b"}))
	}
	w.submit(voice("low", tasks.Options{Tenant: "c", Priority: tasks.PriorityLow}))
	w.submit(voice("high", tasks.Options{Tenant: "a", Priority: tasks.PriorityHigh}))
	w.run()
	first := []string{"a0", "a1", "high", "b0"}
	if got := w.bought(); len(got) != 12 || !slices.Equal(got[:4], first) || got[11] != "low" || slices.Index(got, "b1") > 6 {
		t.Errorf("bought in the order %v", got)
	}
	for n := range 8 {
		want = append(want, fmt.Sprintf("a%d", n))
	}
	for _, id := range append(want, "b0", "b1", "low", "high") {
		if job := w.job(id); job.State != tasks.Done || job.Hold != nil {
			t.Errorf("%s is %s, held by %+v", id, job.State, job.Hold)
		}
	}
	w.checkWindow(0, 0)
}

// TestWindowOnItsWay: whatever ends a job, or brings it back, its slot is used by somebody, and by nobody twice.
func TestWindowOnItsWay(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, jobs ...string) *world {
		t.Helper()
		w := newWindow(t, 1)
		for _, id := range jobs {
			w.submit(voice(id, tasks.Options{}))
		}
		return w
	}
	t.Run("one that waits is canceled", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two", "three")
		w.stepAll()
		if _, err := w.client.Cancel(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.settle()
		if got := w.bought(); !slices.Equal(got, []string{"one", "three"}) {
			t.Errorf("bought %v", got)
		}
		w.checkWindow(0, 0)
	})
	t.Run("one that renders is canceled", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two")
		w.stepAll()
		if _, err := w.client.Cancel(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		w.forward(time.Minute) // it goes on at the API
		w.sweepAfter(time.Minute)
		w.checkWindow(1, 0)
		w.run()
		w.checkWindow(0, 0)
	})
	t.Run("the limit is taken away", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two", "three")
		w.stepAll()
		limited := w.pipeline
		w.open(0) // one worker has no limit
		for range 4 {
			w.forward(40 * time.Second)
			if err := errors.Join(limited.sweepWindow(t.Context()), w.pipeline.sweepWindow(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		w.checkWindow(1, 2)
		w.forward(time.Minute) // all have none
		if err := w.pipeline.sweepWindow(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.checkWindow(0, 0)
		w.run()
		if got := w.fake.Totals().Creates; got != 3 {
			t.Errorf("%d creates, want 3", got)
		}
	})
	t.Run("the limit is raised and lowered", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two", "three", "four", "five")
		w.stepAll()
		w.open(3)
		w.sweepAfter(time.Second)
		w.checkWindow(3, 2)
		w.open(1)
		w.sweepAfter(time.Second)
		w.checkWindow(3, 2)
		w.renders = 3 // two that were let in are still to be bought
		w.run()
		w.settle()
		w.checkWindow(0, 0)
		if got := w.fake.Totals().Creates; got != 5 {
			t.Errorf("%d creates, want 5", got)
		}
	})
	t.Run("a failed one comes back with its project", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one")
		w.stepAll()
		r, err := w.pipeline.load(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.pipeline.update(t.Context(), r, func(job *tasks.Job) outcome { return fail(job, tasks.StagePoll, verdict{code: codeGaveUp}) }); err != nil {
			t.Fatal(err)
		}
		w.checkWindow(0, 0)
		if _, err := w.client.Retry(t.Context(), "one", false); err != nil {
			t.Fatal(err)
		}
		w.sweepAfter(time.Second)
		w.checkWindow(1, 0)
	})
	t.Run("one lost from the queue", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two")
		w.stepAll()
		for _, key := range w.redis.Keys() {
			if strings.Contains(key, ":window:") {
				w.redis.Del(key) // as a failover might
			}
		}
		w.sweepAfter(time.Second)
		w.checkWindow(1, 0)
		w.run()
		w.settle()
		if got := w.fake.Totals().Creates; got != 2 {
			t.Errorf("%d creates, want 2", got)
		}
	})
	t.Run("one that is let in before it has begun to wait", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two")
		infos := w.due()
		if err := w.step(infos[0]); err != nil {
			t.Fatal(err)
		}
		payload, err := tasks.Decode(asynq.NewTask(infos[1].Type, infos[1].Payload))
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.pipeline.find(t.Context(), payload)
		if err != nil {
			t.Fatal(err)
		}
		if in, err := w.pipeline.inWindow(t.Context(), r.job); in || err != nil {
			t.Fatal(in, err)
		}
		seen := *r
		w.pipeline.leaveWindow(t.Context(), "one", 1)
		out, err := w.pipeline.update(t.Context(), &seen, w.pipeline.within(r.job, w.pipeline.queued))
		if job := w.job("two"); err != nil || out.waits || job.Hold != nil {
			t.Errorf("it has a slot, and waits for one: %+v, held by %+v (%v)", out, job.Hold, err)
		}
	})
	t.Run("an unknown one", func(t *testing.T) {
		t.Parallel()
		w := begin(t, "one", "two")
		w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusInternalServerError, Times: 1})
		w.stepAll()
		w.sweepAfter(time.Minute)
		w.checkWindow(1, 1)
		w.sweepAfter(unknownHolds)
		w.checkWindow(1, 0)
		if job := w.job("two"); job.Hold != nil {
			t.Errorf("two is held by %+v", job.Hold)
		}
	})
}

// TestWindowOfTheRefused: a request that is refused alone lets others pass, and comes to its end.
func TestWindowOfTheRefused(t *testing.T) {
	t.Parallel()
	w := newWindow(t, 1)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusPaymentRequired, Times: 1, Shape: magichourtest.MessageOnly})
	w.submit(voice("dear", tasks.Options{}))
	w.submit(voice("cheap", tasks.Options{}))
	infos := w.due()
	_ = w.step(infos[0])
	w.checkWindow(0, 0)
	if err := w.step(infos[1]); err != nil {
		t.Fatal(err)
	}
	if err := w.step(infos[0]); err != nil || w.job("dear").Hold == nil || w.job("dear").Hold.Code != codeCredits {
		t.Errorf("got %v, held by %+v", err, w.job("dear").Hold)
	}
	w.checkWindow(1, 1)
	w.run()
	w.checkWindow(0, 0)
}

// TestWindowHeld: what holds the fleet does not drain the queue into tasks that are held.
func TestWindowHeld(t *testing.T) {
	t.Parallel()
	w := newWindow(t, 1)
	for n := range 5 {
		w.submit(voice(strconv.Itoa(n), tasks.Options{}))
	}
	w.fake.SetCredits(0)
	for _, info := range w.due()[:1] {
		_ = w.step(info)
	}
	for _, info := range w.due() {
		_ = w.step(info)
	}
	w.checkWindow(1, 0)
	w.fake.SetCredits(1000)
	w.forward(time.Minute)
	w.run()
	w.checkWindow(0, 0)
	if got := w.fake.Totals().Creates; got != 5 {
		t.Errorf("%d creates, want 5", got)
	}
}

// TestWindowFaults injects every single fault into two jobs of which one has to wait for the other, and both for
// their turns to call the API: no slot is lost, none is used twice, and no job is forgotten.
func TestWindowFaults(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		layer layer
		kind  kind
		then  recovery
	}{
		{inRedis, loses, atOnce}, {inRedis, stopsBefore, atOnce}, {inRedis, stopsAfter, atOnce}, {inRedis, stopsAfter, late},
		{inHTTP, loses, atOnce}, {inHTTP, stopsAfter, late},
	} {
		t.Run(fmt.Sprintf("%s %s %+v", s.layer, s.kind, s.then), func(t *testing.T) {
			t.Parallel()
			fired := true
			for n := 1; fired && n < mostCalls; n += stride {
				t.Run(strconv.Itoa(n), func(t *testing.T) { fired = tellOfTwo(t, s.then, fault{s.layer, n, s.kind}) })
			}
		})
	}
}

func tellOfTwo(t *testing.T, r recovery, f fault) (fired bool) {
	dir := t.TempDir()
	store := open(t, "file://"+dir, storage.Options{})
	w := newWorldOn(t, magichourtest.Options{Render: slow, OutputSize: 3000}, time.Now(), store)
	w.litter = func() []string { return unfinished(t, dir) }
	w.stores = func(p *process) storage.Store { return storeGate{p, store} }
	w.recovery, w.faults, w.failing = r, []fault{f}, true
	w.rate = 0.1
	w.open(1)
	defer func() {
		if t.Failed() {
			t.Logf("%v:\n%s", f, w.story())
		}
	}()
	var accepted []string
	for _, id := range []string{"one", "two"} {
		if w.handIn(voice(id, tasks.Options{})) {
			accepted = append(accepted, id)
		}
	}
	w.run()
	w.settle()
	w.calm()
	for _, id := range accepted {
		job := w.job(id)
		bought := len(slices.DeleteFunc(w.bought(), func(b string) bool { return b != id }))
		if bought > 1 || job.State != tasks.Done && job.State != tasks.Unknown || job.State == tasks.Done && bought != 1 {
			t.Errorf("%s is %s (%+v), and was bought %d times", id, job.State, job.Error, bought)
		}
	}
	w.checkWindow(0, 0)
	return len(w.met) > 0
}
