package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
)

// These tests do from the dashboard what can be done there, on workers that run. docs/dashboard.md says what comes of it.

// A board is worker dashboard --writable.
type board struct {
	f   *fleet
	url string
}

// seldom lets polls stand under Scheduled until somebody runs them.
const seldom = "HOURGLASS_POLL_INTERVAL=1h"

func (f *fleet) board() *board {
	f.t.Helper()
	line := f.start("worker", "dashboard", "--addr", "127.0.0.1:0", "--writable", "--without-password").find("dashboard, writable: ")
	_, url, found := strings.Cut(line, "writable: ")
	if !found {
		f.t.Fatal("the dashboard did not start")
	}
	return &board{f, url}
}

// press sends what a button of the pages sends, and returns the answer's status.
func (b *board) press(method, path string) int {
	b.f.t.Helper()
	req, err := http.NewRequestWithContext(b.f.t.Context(), method, b.url+"/api/queues/"+path, nil)
	if err != nil {
		b.f.t.Fatal(err)
	}
	return b.f.do(req, nil)
}

func (b *board) must(method, path string) {
	b.f.t.Helper()
	if status := b.press(method, path); status > 299 {
		b.f.t.Fatalf("%s %s: %d", method, path, status)
	}
}

// queues are those that the dashboard lists.
func (b *board) queues() []string {
	b.f.t.Helper()
	var listed struct{ Queues []struct{ Queue string } }
	b.f.get(b.url+"/api/queues", &listed)
	var names []string
	for _, q := range listed.Queues {
		names = append(names, q.Queue)
	}
	slices.Sort(names)
	return names
}

func (f *fleet) order(ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		r := request(1)
		r.ID = id
		f.submit(r)
	}
}

// stands waits until a task stands in a state.
func (f *fleet) stands(id string, want asynq.TaskState) {
	f.t.Helper()
	f.eventually(id+" is "+want.String(), func() bool {
		info, err := f.inspector.GetTaskInfo(queueOf(id), id)
		return err == nil && info.State == want
	})
}

func queueOf(task string) string {
	stage, _, _ := strings.Cut(strings.Split(task, ":")[1], "~")
	return "hourglass-" + stage
}

// overdue lets the five minutes pass after which a job that has not moved is looked for.
func (f *fleet) overdue(ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		if n, err := f.rdb.ZAddArgs(f.t.Context(), "hourglass:{fleet}:deadlines", redis.ZAddArgs{XX: true, Ch: true, Members: []redis.Z{{Score: 1, Member: id}}}).Result(); err != nil || n != 1 {
			f.t.Fatalf("job %s has no deadline: %v", id, err)
		}
	}
}

// end runs the polls that stand under Scheduled until all jobs are done.
func (b *board) end(ids ...string) {
	b.f.t.Helper()
	for _, id := range ids {
		b.f.eventually(id+" is done", func() bool {
			b.press("POST", "hourglass-poll/scheduled_tasks:run_all")
			return b.f.state(id) == tasks.Done
		})
	}
}

// TestDeletedFromTheDashboard: a task of a job on the road comes back; one of a job that has ended is not missed.
func TestDeletedFromTheDashboard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker(seldom)
	b := f.board()

	b.must("POST", "hourglass-create:pause")
	f.order("pending")
	f.stands("pending:create", asynq.TaskStatePending)
	b.must("DELETE", "hourglass-create/pending_tasks:delete_all")
	b.must("POST", "hourglass-create:resume")

	f.put("/_fake/behavior", `{"error":"no_source_face"}`)
	f.order("archived")
	f.stands("archived:poll:1", asynq.TaskStateScheduled)
	b.must("POST", "hourglass-poll/scheduled_tasks/archived:poll:1:run")
	f.stands("archived:poll:1", asynq.TaskStateArchived)
	f.put("/_fake/behavior", `{}`)
	b.must("DELETE", "hourglass-poll/archived_tasks/archived:poll:1")

	f.order("retry", "scheduled")
	f.run("worker", "", "hold", "cleanup")
	f.stands("retry:poll:1", asynq.TaskStateScheduled)
	b.must("POST", "hourglass-poll/scheduled_tasks/retry:poll:1:run")
	f.stands("retry:cleanup", asynq.TaskStateRetry)
	b.must("DELETE", "hourglass-cleanup/retry_tasks/retry:cleanup")
	f.run("worker", "", "release", "cleanup")
	f.stands("scheduled:poll:1", asynq.TaskStateScheduled)
	b.must("DELETE", "hourglass-poll/scheduled_tasks/scheduled:poll:1")

	f.overdue("pending", "retry", "scheduled")
	b.end("pending", "retry", "scheduled")
	if f.state("archived") != tasks.Failed {
		t.Errorf("a failed job whose task is deleted is %s", f.state("archived"))
	}
	if out, stderr, code := f.enqueue("retry", "archived", "--recreate"); code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, stderr)
	}
	b.end("archived")

	for _, queue := range []string{"hourglass-create", "hourglass-download", "hourglass-cleanup"} {
		b.must("DELETE", queue+"/completed_tasks:delete_all")
	}
	f.order("pending", "retry", "scheduled", "archived") // the same again is the same job
	for _, id := range []string{"pending", "retry", "scheduled", "archived"} {
		if got := f.state(id); got != tasks.Done {
			t.Errorf("%s, whose completed tasks are deleted, is %s", id, got)
		}
	}
	if got := f.totals(); got.Creates != 5 || got.Deletes != 4 || got.Violations != 0 {
		t.Errorf("the API saw %+v", got)
	}
}

// TestArchivedFromTheDashboard: run again soon, it goes on as if nothing had been; later its job has failed,
// says why, and goes on all the same.
func TestArchivedFromTheDashboard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker(seldom)
	b := f.board()

	f.order("soon")
	f.stands("soon:poll:1", asynq.TaskStateScheduled)
	b.must("POST", "hourglass-poll/scheduled_tasks:archive_all")
	b.must("POST", "hourglass-poll/archived_tasks:run_all")
	b.end("soon")

	f.order("late", "cleaning")
	f.run("worker", "", "hold", "cleanup")
	f.stands("cleaning:poll:1", asynq.TaskStateScheduled)
	b.must("POST", "hourglass-poll/scheduled_tasks/cleaning:poll:1:run")
	f.stands("cleaning:cleanup", asynq.TaskStateRetry)
	b.must("POST", "hourglass-cleanup/retry_tasks:run_all")
	f.stands("cleaning:cleanup", asynq.TaskStateRetry) // it is held still
	b.must("POST", "hourglass-cleanup/retry_tasks:archive_all")
	f.run("worker", "", "release", "cleanup")
	f.stands("late:poll:1", asynq.TaskStateScheduled)
	b.must("POST", "hourglass-poll/scheduled_tasks/late:poll:1:archive")
	b.must("POST", "hourglass-create:pause")
	f.order("unborn")
	f.stands("unborn:create", asynq.TaskStatePending)
	b.must("POST", "hourglass-create/pending_tasks:archive_all")

	f.overdue("late", "unborn", "cleaning")
	for id, stage := range map[string]string{"late": "poll", "unborn": "create"} {
		f.eventually(id+" has failed", func() bool { return f.state(id) == tasks.Failed })
		job, err := f.client.Job(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if e := job.Error; e.Code != "archived_by_hand" || e.Stage != stage || !strings.Contains(e.Hint, "enqueue retry "+id) {
			t.Errorf("%s says %+v", id, e)
		}
	}
	b.must("POST", "hourglass-poll/archived_tasks/late:poll:1:run")
	b.must("POST", "hourglass-create/archived_tasks/unborn:create:run")
	b.must("POST", "hourglass-create:resume")
	b.end("late", "unborn")

	f.stands("cleaning:cleanup~2", asynq.TaskStateScheduled) // its files are safe: the DELETE is not given up, only put off
	b.must("POST", "hourglass-cleanup/scheduled_tasks:run_all")
	b.end("cleaning")
	if got := f.totals(); got.Creates != 4 || got.Deletes != 4 || got.Violations != 0 {
		t.Errorf("the API saw %+v", got)
	}
}

// TestQueueDeletedFromTheDashboard: one with tasks stays; an empty one works on, is listed again, and its tasks
// are known.
func TestQueueDeletedFromTheDashboard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker(seldom)
	b := f.board()
	all := []string{"hourglass-cleanup", "hourglass-create", "hourglass-download", "hourglass-notify", "hourglass-poll"}
	f.eventually("the queues are listed before there is any job", func() bool { return slices.Equal(b.queues(), all) })
	f.put("/_fake/behavior", `{"error":"no_source_face"}`)
	f.order("j1")
	f.stands("j1:poll:1", asynq.TaskStateScheduled)
	if status := b.press("DELETE", "hourglass-poll"); status != http.StatusBadRequest {
		t.Errorf("a queue with a task: got %d, want it refused", status)
	}
	b.must("POST", "hourglass-poll/scheduled_tasks:run_all")
	f.stands("j1:poll:1", asynq.TaskStateArchived)
	b.must("DELETE", "hourglass-poll/archived_tasks:delete_all")
	for _, queue := range all {
		b.must("DELETE", queue)
	}
	f.put("/_fake/behavior", `{}`)
	f.order("j2")
	f.eventually("the queues are listed again", func() bool { return slices.Equal(b.queues(), all) })
	b.end("j2")
	if got := f.totals(); got.Creates != 2 || got.Violations != 0 {
		t.Errorf("the API saw %+v", got)
	}
}

// TestCanceledFromTheDashboard: what is called off in the middle is taken up again, and a purchase is not made twice.
func TestCanceledFromTheDashboard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker()
	b := f.board()
	f.post("/_fake/faults", `{"call":"download","do":"hang"}`)
	f.order("copy")
	f.stands("copy:download", asynq.TaskStateActive)
	f.eventually("the download is under way", func() bool { return f.totals().Downloads > 0 })
	b.must("POST", "hourglass-download/active_tasks/copy:download:cancel")
	b.end("copy")

	f.post("/_fake/faults", `{"call":"create","do":"hang","after":true}`)
	f.order("purchase")
	f.eventually("the purchase is under way", func() bool { return f.totals().Creates == 2 })
	b.must("POST", "hourglass-create/active_tasks:cancel_all")
	f.eventually("it is parked", func() bool { return f.state("purchase") == tasks.Unknown })
	info, err := f.inspector.GetTaskInfo("hourglass-create", "purchase:create")
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ State, Error string }
	if err := json.Unmarshal(info.Result, &result); err != nil || result.State != "unknown" || !strings.Contains(result.Error, "enqueue resolve purchase") {
		t.Errorf("the dashboard says %s (%v)", info.Result, err)
	}
	if got := f.totals(); got.Creates != 2 || got.Violations != 0 {
		t.Errorf("the API saw %+v", got)
	}
}
