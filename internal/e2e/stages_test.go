package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// TestFleets splits the stages over two fleets with a drain of their own. What waits for the one that copies
// stands where deploy/kubernetes looks for it; told to stop, that one ends its copy, and nothing is copied twice.
func TestFleets(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.put("/_fake/behavior", `{"output_size":500000,"body":"slow","rate":100000}`) // 5 s
	pipeline, _ := f.startWorker("HOURGLASS_STAGES=create,poll,cleanup", "HOURGLASS_DRAIN=1s")
	f.submit(request(0))
	f.submit(request(3))
	pending := func() int64 {
		return f.rdb.LLen(t.Context(), "asynq:{hourglass-download}:pending").Val()
	}
	f.eventually("both wait to be copied", func() bool { return pending() == 2 })

	copying, _ := f.startWorker("HOURGLASS_STAGES=download", "HOURGLASS_DOWNLOAD_CONCURRENCY=1", "HOURGLASS_DRAIN=1m")
	f.eventually("one is being copied", func() bool { return pending() == 1 && f.totals().Downloads == 1 })
	copying.signal(syscall.SIGTERM)
	if !copying.ends(30*time.Second) || copying.process.ProcessState.ExitCode() != 0 {
		t.Fatalf("the worker that copies ended with %v", copying.process.ProcessState)
	}
	if got := f.totals().Downloads; got != 1 || pending() != 1 {
		t.Errorf("%d downloads begun and %d tasks pending; want that it ended its copy and took no other", got, pending())
	}
	f.eventually("the other fleet has ended its job", func() bool { return f.standing(tasks.Done) == 1 })

	f.startWorker("HOURGLASS_STAGES=download", "HOURGLASS_DRAIN=1m")
	if out, stderr, code := f.enqueue("wait", request(0).ID, request(3).ID, "--timeout", "1m"); code != 0 {
		t.Fatalf("wait: exit %d: %s%s", code, out, stderr)
	}
	pipeline.signal(syscall.SIGTERM)
	if !pipeline.ends(10 * time.Second) {
		t.Error("the other fleet, which has a drain of a second, does not end")
	}
	if got := f.totals(); got.Creates != 2 || got.Downloads != 2 || got.Deletes != 2 || got.Violations != 0 {
		t.Errorf("the API saw %+v", got)
	}
	f.checkDeletes()
}
