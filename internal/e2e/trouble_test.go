package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/tasks"
)

// TestCorruptedBeforeCleanup: an object that is changed between copy and cleanup keeps its
// remote project alive.
func TestCorruptedBeforeCleanup(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker()
	f.eventually("the cleanup queue can be paused", func() bool { return f.inspector.PauseQueue("hourglass-cleanup") == nil })
	r := request(1)
	f.submit(r)
	f.eventually("the job waits for its cleanup", func() bool { return f.state(r.ID) == tasks.Cleaning })
	key := f.manifest(r.ID).Outputs[2].Key
	// Removing the file and its checksum with it, then writing another one, is what an overwrite
	// by some other client looks like.
	path := filepath.Join(f.s3.Dir, "media", key)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("corrupted"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.inspector.UnpauseQueue("hourglass-cleanup"); err != nil {
		t.Fatal(err)
	}
	f.eventually("the proof fails", func() bool { return f.state(r.ID) == tasks.Storing })
	if got := f.totals().Deletes; got != 0 {
		t.Errorf("%d deletes", got)
	}
}

// TestCompleteWithoutDownloads: zero deletes, and the job goes on asking.
func TestCompleteWithoutDownloads(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.put("/_fake/behavior", `{"empty_gets":-1}`)
	f.startWorker()
	r := request(0)
	f.submit(r)
	f.eventually("five polls", func() bool { return f.totals().Polls >= 5 })
	if got := f.state(r.ID); got != tasks.Rendering {
		t.Errorf("got %s, want rendering", got)
	}
	if got := f.totals(); got.Deletes != 0 || got.Creates != 1 {
		t.Errorf("the API saw %+v", got)
	}
}

// TestDrainLetsAPurchaseEnd: a purchase whose answer is on its way is waited for, whatever the
// drain time says, and only then does the worker end; meanwhile it is not ready.
func TestDrainLetsAPurchaseEnd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.post("/_fake/faults", `{"call":"create","do":"hang","after":true}`)
	worker, url := f.startWorker("HOURGLASS_DRAIN=100ms", "HOURGLASS_STAGES=create")
	r := request(0)
	f.submit(r)
	f.eventually("the purchase is charged", func() bool { return f.totals().Creates == 1 })
	if err := worker.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.eventually("the worker is not ready", func() bool { return f.get(url+"/readyz", nil) == 503 })
	stopped := time.Now()
	f.eventually("the drain time has passed", func() bool { return time.Since(stopped) > time.Second })
	if got := f.state(r.ID); got != tasks.Creating {
		t.Errorf("got %s while the purchase is under way, want creating", got)
	}
	f.post("/_fake/release", ``)
	if worker.find(`"worker stopped"`) == "" {
		t.Fatal("the worker did not end")
	}
	if got := f.state(r.ID); got != tasks.Rendering {
		t.Errorf("got %s, want the answer of the purchase recorded", got)
	}
	f.startWorker()
	if _, stderr, code := f.enqueue("wait", r.ID, "--timeout", "1m"); code != 0 || f.totals().Creates != 1 {
		t.Errorf("exit %d after %d creates: %s", code, f.totals().Creates, stderr)
	}
}

// TestUnreadableTask is archived with its reason at the first try, and the worker lives.
func TestUnreadableTask(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	worker, url := f.startWorker()
	if _, err := f.queue.Enqueue(asynq.NewTask("hourglass:create", []byte("{not JSON")), asynq.Queue("hourglass-create"), asynq.TaskID("broken")); err != nil {
		t.Fatal(err)
	}
	f.eventually("the task is archived", func() bool {
		info, err := f.inspector.GetTaskInfo("hourglass-create", "broken")
		return err == nil && info.State == asynq.TaskStateArchived && info.Retried == 0 && strings.Contains(info.LastErr, "payload of hourglass:create")
	})
	r := request(2)
	f.submit(r)
	if _, stderr, code := f.enqueue("wait", r.ID, "--timeout", "1m"); code != 0 {
		t.Errorf("the worker does not live: exit %d, %s\n%s", code, stderr, worker.text())
	}
	if status := f.get(url+"/livez", nil); status != 200 {
		t.Errorf("/livez: %d", status)
	}
}

// TestWorkerDrains: a worker that is told to stop loses nothing, and the next one goes on.
func TestWorkerDrains(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "3s")
	worker, url := f.startWorker("HOURGLASS_STAGES=create")
	if status := f.get(url+"/readyz", nil); status != 200 {
		t.Errorf("/readyz: %d", status)
	}
	var ids []string
	for i := range 6 {
		r := request(i)
		f.submit(r)
		ids = append(ids, r.ID)
	}
	f.eventually("all are bought", func() bool { return f.totals().Creates == len(ids) })
	if err := worker.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if worker.find(`"worker stopped"`) == "" {
		t.Error("the worker did not drain")
	}
	if got := f.totals().Polls; got != 0 {
		t.Errorf("a worker of the create stage alone has polled %d times", got)
	}
	f.startWorker()
	if out, stderr, code := f.enqueue(append([]string{"wait", "--timeout", "1m"}, ids...)...); code != 0 {
		t.Errorf("exit %d\n%s\n%s", code, out, stderr)
	}
	if got := f.totals(); got.Creates != len(ids) || got.Deletes != len(ids) {
		t.Errorf("the API saw %+v", got)
	}
	f.checkSecrets()
}

func (f *fleet) submit(r tasks.Request) {
	f.t.Helper()
	if _, err := f.client.Submit(f.t.Context(), r); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) state(id string) tasks.State {
	f.t.Helper()
	job, err := f.client.Job(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return job.State
}
