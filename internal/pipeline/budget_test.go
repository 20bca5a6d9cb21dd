package pipeline

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestTurnOfACall: a task that comes too early goes back without a word to the record, costs no attempt, and
// passes when its turn has come.
func TestTurnOfACall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.rate = 1
	w.start()
	for n := range 6 {
		w.submit(voice(fmt.Sprint(n), tasks.Options{}))
	}
	var late []*asynq.TaskInfo
	for _, info := range w.due() {
		before := w.job(info.ID[:1])
		err := w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload))
		if err == nil {
			continue
		}
		if !strings.HasPrefix(err.Error(), "throttled: ") || costsAttempt(err) {
			t.Errorf("told the queue %q, which costs an attempt: %t", err, costsAttempt(err))
		}
		if job := w.job(info.ID[:1]); job.State != tasks.Pending || job.Hold != nil || job.UpdatedAt != before.UpdatedAt {
			t.Errorf("the record of a task that waits for its turn is %+v", job.Status)
		}
		if wait := retryDelay(0, err, asynq.NewTask(info.Type, info.Payload)); wait < time.Second || wait > 5*time.Second {
			t.Errorf("it comes again in %s", wait)
		}
		late = append(late, info)
	}
	if got := w.fake.Totals().Creates; got != 4 || len(late) != 2 {
		t.Fatalf("%d creates at once and %d turns, want a burst of 4, and 2", got, len(late))
	}
	w.forward(10 * time.Second)
	for _, info := range late {
		if err := w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload)); err != nil {
			t.Errorf("%s at its turn: %v", info.ID, err)
		}
	}
}

// TestTooManyCalls: one 429 slows the whole fleet, whatever the stage and without any setting, and the fleet
// recovers by itself.
func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusTooManyRequests, RetryAfter: "30"})
	for n := range 10 {
		w.submit(voice(fmt.Sprint(n), tasks.Options{}))
	}
	infos := w.due()
	for _, info := range infos {
		err := w.step(info)
		var s *setback
		if !errors.As(err, &s) || s.class != throttled || costsAttempt(err) {
			t.Errorf("%s: %v", info.ID, err)
		}
	}
	if got := w.fake.Totals(); got.Creates != 0 || len(w.fake.Ledger().Events) != 1 {
		t.Errorf("the API was called %d times, and once is enough", len(w.fake.Ledger().Events))
	}
	w.forward(31 * time.Second)
	w.run()
	for n := range 10 {
		if job := w.job(fmt.Sprint(n)); job.State != tasks.Done {
			t.Errorf("%s is %s, held by %+v", job.ID, job.State, job.Hold)
		}
	}
	if w.forward(time.Hour); w.pipeline.holds.braked() {
		if _, err := w.pipeline.holds.of(t.Context(), tasks.StagePoll); err != nil {
			t.Fatal(err)
		}
		if err := w.pipeline.afford(t.Context(), tasks.StageCreate, &tasks.Job{Status: tasks.Status{State: tasks.Pending}}, 1); err != nil {
			t.Error(err)
		}
		w.forward(time.Second * 2)
		if _, err := w.pipeline.holds.of(t.Context(), tasks.StagePoll); err != nil || w.pipeline.holds.braked() {
			t.Errorf("the brake is on for ever (%v)", err)
		}
	}
}

// TestBusyMediaHost: what the media host says of its own limits slows nobody else.
func TestBusyMediaHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Download, Status: http.StatusTooManyRequests})
	w.submit(images())
	w.run()
	w.checkDone("images")
	if found, err := w.pipeline.records.Holds(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("the fleet is told of %v (%v)", found, err)
	}
}

// TestNothingAsksWithoutLimits: without a rate and a window, no round trip is made for them.
func TestNothingAsksWithoutLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.submit(images())
	w.run()
	w.checkDone("images")
	before := w.count[inRedis]
	job := w.job("images")
	if in, err := w.pipeline.inWindow(t.Context(), job); !in || err != nil {
		t.Error(in, err)
	}
	if err := w.pipeline.afford(t.Context(), tasks.StagePoll, job, 1); err != nil {
		t.Error(err)
	}
	w.pipeline.spend(t.Context())
	w.pipeline.leaveWindow(t.Context(), job.ID, job.Epoch)
	if asked := w.count[inRedis] - before; asked != 0 {
		t.Errorf("Redis was asked %d times", asked)
	}
	for _, key := range w.redis.Keys() {
		if strings.Contains(key, ":window") || strings.Contains(key, ":budget") {
			t.Errorf("there is a key %s", key)
		}
	}
}

// TestLanes: what is paid for stands in no line with what is not.
func TestLanes(t *testing.T) {
	t.Parallel()
	lanes := map[records.Lane][]tasks.Stage{}
	for _, stage := range tasks.Stages() {
		lanes[laneOf(stage)] = append(lanes[laneOf(stage)], stage)
	}
	want := map[records.Lane][]tasks.Stage{
		records.Creates: {tasks.StageCreate}, records.Polls: {tasks.StagePoll}, records.Finishes: {tasks.StageDownload, tasks.StageCleanup},
	}
	if !reflect.DeepEqual(lanes, want) {
		t.Errorf("got %v, want %v", lanes, want)
	}
}
