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

// takeUp runs a task and leaves it in the queue: whoever had it before still believes to hold it.
func (w *world) takeUp(info *asynq.TaskInfo) error {
	return w.handle(w.t.Context(), asynq.NewTask(info.Type, info.Payload))
}

// buyWhile runs the create of a job, and lets something happen after the API has made the project and
// before its worker, which was frozen, reads the answer.
func (w *world) buyWhile(happens func(create *asynq.TaskInfo)) {
	w.t.Helper()
	create := w.waiting()[0]
	met := false
	w.on["http POST after"] = func() { met = true; happens(create) }
	if err := w.takeUp(create); err != nil {
		w.t.Errorf("the worker that has bought: %v", err)
	}
	if !met {
		w.t.Fatal("nothing was bought")
	}
	_ = w.inspector.DeleteTask(create.Queue, create.ID) // unless a decision has taken it away already
}

func (w *world) resolve(r tasks.Resolution) {
	w.t.Helper()
	if _, err := w.client.Resolve(w.t.Context(), "images", r); err != nil {
		w.t.Fatal(err)
	}
}

// putInTheWay puts an object of somebody else where a file belongs.
func (w *world) putInTheWay(key string) {
	w.t.Helper()
	if _, err := w.store.Put(w.t.Context(), key, strings.NewReader("mine"), storage.PutOptions{Size: 4}); err != nil {
		w.t.Fatal(err)
	}
}

// TestAnswerAfterTheJobWasGivenUp: the project of a job that a person has given up meanwhile is not lost,
// and a plain retry follows it.
func TestAnswerAfterTheJobWasGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.buyWhile(func(create *asynq.TaskInfo) {
		if err := w.takeUp(create); err != nil {
			t.Errorf("the worker that parks it: %v", err)
		}
		w.resolve(tasks.Resolution{Fail: true})
	})
	job := w.job("images")
	if job.State != tasks.Failed || job.ProjectID != w.fake.Projects()[0].ID || !strings.Contains(strings.Join(job.Warnings, "\n"), job.ProjectID) {
		t.Errorf("got %s, project %q, warnings %q", job.State, job.ProjectID, job.Warnings)
	}
	w.retry("images", false)
	w.run()
	w.checkDone("images")
}

// TestMarkOfAJobWithAProject: a purchase that nobody knows the outcome of keeps a job that has its
// project neither from its end nor from the road.
func TestMarkOfAJobWithAProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.putInTheWay("images/2.png")
	w.submit(images())
	w.buyWhile(func(create *asynq.TaskInfo) {
		w.start() // another worker
		if err := w.takeUp(create); err != nil {
			t.Errorf("the worker that parks it: %v", err)
		}
		w.resolve(tasks.Resolution{Recreate: true})
		w.on["http POST before"] = w.process.kill
		if err := w.takeUp(w.beside(create)); !errors.Is(err, errKilled) {
			t.Errorf("the second purchase: got %v, want its worker killed", err)
		}
	})
	job := w.job("images")
	if last := job.Attempts[len(job.Attempts)-1]; job.ProjectID == "" || last.Outcome != "" {
		t.Fatalf("project %q, attempts %+v; want an open one beside the project", job.ProjectID, job.Attempts)
	}
	w.run()
	if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeObjectExists {
		t.Fatalf("got %s (%+v), want it failed by what is in its way", job.State, job.Error)
	}
	w.removeObject("images/2.png")
	w.retry("images", false)
	w.run()
	w.checkDone("images")
}

// TestOldCopyWritesOverNothing: a download that was frozen does not put its files over those of the project
// that a person has had bought meanwhile, and whose original is deleted.
func TestOldCopyWritesOverNothing(t *testing.T) {
	t.Parallel()
	for frozenAt, late := range map[string]bool{
		"http GET media before": false, // a file that nobody has looked for
		"store head before":     false, // the manifest
		"store head after":      true,  // a file that was looked for, in vain
	} {
		t.Run(frozenAt, func(t *testing.T) {
			t.Parallel()
			oldCopyWritesOverNothing(t, frozenAt, late)
		})
	}
}

func oldCopyWritesOverNothing(t *testing.T, frozenAt string, late bool) {
	t.Helper()
	w := newWorld(t, magichourtest.Options{})
	r := requests()[0] // of one file: of several, only one would be frozen
	r.Options.Overwrite = true
	w.submit(r)
	download := w.untilStage(tasks.StageDownload)
	first := w.job("video").ProjectID
	if late {
		w.forward(time.Minute)
	}
	w.on[frozenAt] = func() {
		if err := w.inspector.ArchiveTask(download.Queue, download.ID); err != nil {
			t.Error(err)
		}
		w.sweep()
		w.retry("video", true)
		w.run()
		if job := w.job("video"); job.State != tasks.Done || job.ProjectID == first {
			t.Errorf("got %s (%+v) with project %s", job.State, job.Error, job.ProjectID)
		}
	}
	_ = w.takeUp(download)
	job := w.job("video")
	if job.State != tasks.Done || w.fake.Totals().Deletes != 1 {
		t.Errorf("got %s after %d deletes", job.State, w.fake.Totals().Deletes)
	}
	if err := w.checkCopies(job.ProjectID); err != nil {
		t.Errorf("its original is deleted, and the store holds something else: %v", err)
	}
}

// TestResolveWithAProjectOfBefore: a project that was given up for another one is not what an unknown
// purchase has made.
func TestResolveWithAProjectOfBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.fake.Script(magichourtest.Behavior{Error: "no_source_face"})
	w.submit(images())
	w.run()
	first := w.job("images").ProjectID
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true})
	w.retry("images", true)
	w.run()
	if _, err := w.client.Resolve(t.Context(), "images", tasks.Resolution{Project: first}); !errors.Is(err, tasks.ErrState) {
		t.Errorf("got %v, want it refused", err)
	}
	if job := w.job("images"); job.State != tasks.Unknown || job.Mark() == nil {
		t.Errorf("got %s, attempts %+v; want it as it was", job.State, job.Attempts)
	}
	w.resolve(tasks.Resolution{Project: w.fake.Projects()[1].ID})
	w.run()
	if job := w.job("images"); job.State != tasks.Done || w.checkCopies(job.ProjectID) != nil {
		t.Errorf("got %s (%+v)", job.State, job.Error)
	}
}

// TestCanceledWhileTheSweeperLooks: a sweeper that comes between the deadline and the record of a job that
// a caller ends takes nothing away that the record's end depends on.
func TestCanceledWhileTheSweeperLooks(t *testing.T) {
	t.Parallel()
	w := newParked(t, magichourtest.Webhooks{})
	w.calm()
	caller := w.begin()
	w.on["redis evalsha after"] = func() { // the deadline is set, the record is not saved yet
		w.forward(time.Second)
		if _, err := w.pipeline.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := tasks.NewClient(caller.rdb).Cancel(t.Context(), "video"); err != nil {
		t.Fatal(err)
	}
	w.sweep()
	if ttl := w.redis.TTL("hourglass:{video}:record"); ttl <= 0 {
		t.Errorf("the record of the canceled job lives for ever (%v)", ttl)
	}
}
