package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/tasks"
)

// archived returns the ids of all archived tasks, with their last errors.
func (f *fleet) archived() map[string]string {
	f.t.Helper()
	found := map[string]string{}
	for _, stage := range tasks.Stages() {
		infos, err := f.inspector.ListArchivedTasks(stage.Queue())
		if err != nil && !strings.Contains(err.Error(), "not found") {
			f.t.Fatal(err)
		}
		for _, info := range infos {
			found[info.ID] = info.LastErr
		}
	}
	return found
}

// TestRunFromTheDashboard: running the archived task of a failed job does what enqueue retry does.
func TestRunFromTheDashboard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "j1", "2.png")
	if err := os.MkdirAll(filepath.Dir(inTheWay), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inTheWay, []byte("somebody else's"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.startWorker("STORAGE_URL=file://" + dir)
	submit := []string{"submit", "ai-image-generator", "--set", "image_count=4", "--set", "style.prompt=robot", "--wait", "--id"}
	if out, stderr, code := f.enqueue(append(submit, "j1")...); code != 3 || !strings.Contains(out, "object_exists") {
		t.Fatalf("exit %d, %s, %s", code, out, stderr)
	}
	f.put("/_fake/behavior", `{"error":"no_source_face"}`)
	if out, stderr, code := f.enqueue(append(submit, "j2")...); code != 3 {
		t.Fatalf("exit %d, %s, %s", code, out, stderr)
	}
	f.eventually("two tasks are archived", func() bool { return len(f.archived()) == 2 })
	if got := f.archived()["j1:download"]; !strings.HasPrefix(got, "object_exists: ") {
		t.Errorf("archived: %v", f.archived())
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	run := func(queue, id string) {
		t.Helper()
		if err := f.inspector.RunTask(queue, id); err != nil {
			t.Fatal(err)
		}
	}
	run("hourglass-download", "j1:download")
	f.eventually("j1 is done", func() bool { return f.state("j1") == tasks.Done })
	for id := range f.archived() {
		if strings.HasPrefix(id, "j2:poll:") {
			run("hourglass-poll", id)
			f.eventually("its refund stays: the task is archived again", func() bool {
				info, err := f.inspector.GetTaskInfo("hourglass-poll", id)
				return err == nil && info.State == asynq.TaskStateArchived
			})
		}
	}
	if f.state("j2") != tasks.Failed || len(f.archived()) != 1 {
		t.Errorf("j2 is %s; archived: %v", f.state("j2"), f.archived())
	}
	if got := f.totals(); got.Creates != 2 || got.Deletes != 1 || got.Violations != 0 {
		t.Errorf("the API saw %+v", got)
	}
}

// TestPeopleDecide: cancel, retry and resolve at the command line.
func TestPeopleDecide(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker()
	expect := func(code int, says string, args ...string) string {
		t.Helper()
		out, stderr, got := f.enqueue(args...)
		if got != code || !strings.Contains(out+stderr, says) {
			t.Fatalf("enqueue %v: exit %d, want %d with %q; it said %s%s", args, got, code, says, out, stderr)
		}
		return out
	}
	submit := func(code int, says, id string) {
		t.Helper()
		expect(code, says, "submit", "ai-image-generator", "--set", "image_count=1", "--set", "style.prompt=robot", "--wait", "--id", id)
	}
	lost := `{"call":"create","do":"reset","after":true}`

	f.put("/_fake/behavior", `{"error":"no_source_face"}`)
	submit(3, "no_source_face", "face")
	f.put("/_fake/behavior", `{}`)
	expect(1, "--recreate", "retry", "face")
	expect(0, "pending", "retry", "face", "--recreate")
	expect(0, "done", "wait", "face", "--timeout", "1m")
	expect(1, "it is done", "retry", "face")
	expect(1, "it is done", "cancel", "face")
	expect(1, "no such job: nobody", "cancel", "nobody")

	f.post("/_fake/faults", lost)
	submit(3, "enqueue resolve lost1 --project", "lost1")
	project := f.projectOf("lost1")
	expect(2, "one of --project", "resolve", "lost1")
	expect(2, "one of --project", "resolve", "lost1", "--fail", "--recreate")
	expect(1, "no image project nothing", "resolve", "lost1", "--project", "nothing")
	expect(1, "only one that is unknown", "resolve", "face", "--fail")
	expect(0, "rendering", "resolve", "lost1", "--project", project)
	expect(0, "done", "wait", "lost1", "--timeout", "1m")

	f.post("/_fake/faults", lost)
	submit(3, "unknown", "lost2")
	expect(1, "is not what job lost2 named its own", "resolve", "lost2", "--project", f.projectOf("face"), "--magic-hour-base-url", f.api)
	expect(1, "belongs to job lost1", "resolve", "lost2", "--project", project, "--force")
	expect(0, "failed", "resolve", "lost2", "--fail")
	expect(0, "unknown", "retry", "lost2")
	expect(0, "canceled", "cancel", "lost2")
	expect(0, "0 jobs parked", "resolve", "--restored-before", "2000-01-01T00:00:00Z")
	expect(2, "want a time such as", "resolve", "--restored-before", "yesterday")
	expect(2, "stands alone", "resolve", "--restored-before", "2000-01-01T00:00:00Z", "lost2")

	if got := f.totals(); got.Creates != 4 || got.Violations != 0 { // face twice, and each that was lost
		t.Errorf("the API saw %+v", got)
	}
}

// projectOf finds the project that was made for a job by its name, as a person does in the library.
func (f *fleet) projectOf(id string) string {
	f.t.Helper()
	var projects []struct{ ID, Name string }
	f.get(f.api+"/_fake/projects", &projects)
	for _, p := range projects {
		if strings.Contains(p.Name, "["+id+"~") {
			return p.ID
		}
	}
	f.t.Fatalf("there is no project of %s", id)
	return ""
}

// TestHoldAndRelease: a stage stands still, says so everywhere, and goes on when it is released, whichever
// workers are there.
func TestHoldAndRelease(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	worker := func(code int, says string, args ...string) {
		t.Helper()
		out, stderr, got := f.run("worker", "", args...)
		if got != code || !strings.Contains(out+stderr, says) {
			t.Fatalf("worker %v: exit %d, want %d with %q; it said %s%s", args, got, code, says, out, stderr)
		}
	}
	worker(2, "want one STAGE", "hold", "render")
	worker(2, "want one STAGE", "release")
	worker(0, "nothing is held", "hold")
	worker(0, "create: was not held", "release", "create")
	worker(0, "create: held", "hold", "create", "--reason", "the budget of today")
	worker(0, "create: held already", "hold", "create")
	worker(0, "the budget of today", "hold")
	_, url := f.startWorker()
	f.submit(request(1))
	f.eventually("the job says why it waits", func() bool {
		out, _, _ := f.enqueue("list", "--held")
		return strings.Contains(out, "the budget of today")
	})
	var metrics []byte
	f.get(url+"/metrics", &metrics)
	for _, want := range []string{`hourglass_stage_held{code="by_hand",stage="create"} 1`, `hourglass_jobs{state="pending"} 1`} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("/metrics has no %s", want)
		}
	}
	info, err := f.inspector.GetTaskInfo("hourglass-create", "job-1:create")
	if err != nil || info.State != asynq.TaskStateRetry || info.Retried != 0 || !strings.HasPrefix(info.LastErr, "held: ") {
		t.Errorf("the task: %+v, %v; want it to come again, with no attempt spent", info, err)
	}
	if got := f.totals().Creates; got != 0 {
		t.Errorf("%d creates", got)
	}
	worker(0, "create: released", "release", "create")
	if out, stderr, code := f.enqueue("wait", "job-1", "--timeout", "1m"); code != 0 {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
}
