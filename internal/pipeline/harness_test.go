package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A world is a pipeline with everything outside it, in one process: miniredis, the fake API, a
// store, and a clock that only the test moves. Handlers are called directly, and every call that
// they make to the outside passes a gate, before and after (gates_test.go), at which it can fail,
// lose its answer, or find the process dead.
type world struct {
	t        tester
	redis    *miniredis.Miniredis
	fake     *magichourtest.Server
	store    storage.Store // not behind the gates
	stores   func(*process) storage.Store
	inputs   func(*process) *storage.Inputs
	callers  *storagetest.S3 // where inputs are, if there are any
	dir      string          // of a store that is a folder
	client   *tasks.Client
	process  *process  // that lives
	pipeline *Pipeline // its own

	processes []*process // all that were begun

	plain     *redis.Client // these three do not pass the gates
	queue     *asynq.Client
	inspector *asynq.Inspector

	recovery recovery
	killed   map[string]bool // tasks whose worker was killed, and whose time has not come again
	loses    bool            // every task is lost once, so that the sweeper has to find the job
	failing  bool            // the job is to fail
	lost     map[string]bool
	running  sync.WaitGroup
	over     chan struct{} // closed when the test ends

	hook sync.Mutex // held while a webhook is taken

	mu       sync.Mutex
	now      time.Time
	calls    []string          // what passed the gates
	count    map[layer]int     // calls so far
	faults   []fault           // that are injected
	met      []encounter       // the calls that met one of them
	fail     map[int]error     // gates at which the call fails
	stopAt   map[int]bool      // gates at which the process is killed
	on       map[string]func() // what happens once at a gate, by its call
	at       map[int]func()    // what happens at a gate, by its number
	unproved []string          // deletes that came before the proof
	frozen   bool              // a handler was overtaken by another one

	receiver *listener // of notices; nil: nobody is told

	tries   int     // how often the task that is handled has failed before, if the test knows
	renders int     // the limit of the window; 0: none
	rate    float64 // of the API's budget; 0: none

	litter func() []string // what copies left behind in the store that is no object
}

// A tester is a *testing.T or a *rapid.T.
type tester interface {
	Helper()
	Context() context.Context
	Cleanup(do func())
	Failed() bool
	Logf(format string, a ...any)
	Error(a ...any)
	Errorf(format string, a ...any)
	Fatal(a ...any)
	Fatalf(format string, a ...any)
}

// A recovery is how the world goes on after a failure.
type recovery struct {
	atOnce   bool // a killed task runs again before any other
	late     bool // ... only after all that waits has come to its end
	sweeps   bool // before every task the time passes all deadlines, and the sweeper runs
	retained bool // finished tasks keep their ids for a while, as Asynq keeps them
	again    bool // a caller who was killed submits again
}

// newWorld makes a world whose store is a folder, at a noon.
func newWorld(t *testing.T, o magichourtest.Options) *world {
	t.Helper()
	dir := t.TempDir()
	store, err := storage.Open(t.Context(), "file://"+dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOn(t, o, noon, store)
	w.dir = dir
	w.stores = func(p *process) storage.Store { return storeGate{p, store} }
	w.start()
	return w
}

// newWorldOn makes a world without a process: start begins one, over what stores returns.
func newWorldOn(t tester, o magichourtest.Options, now time.Time, store storage.Store) *world {
	t.Helper()
	w := &world{
		t: t, redis: miniredis.RunT(t), now: now, store: store, inputs: func(*process) *storage.Inputs { return nil }, over: make(chan struct{}),
		count: map[layer]int{}, fail: map[int]error{}, stopAt: map[int]bool{}, on: map[string]func(){}, at: map[int]func(){}, killed: map[string]bool{}, lost: map[string]bool{},
	}
	w.redis.SetTime(now)
	o.Now = w.clock
	w.fake = magichourtest.New(o)
	if err := w.fake.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.fake.Close)
	w.plain = redis.NewClient(&redis.Options{Addr: w.redis.Addr()})
	t.Cleanup(func() { _ = w.plain.Close() })
	w.client, w.queue, w.inspector = tasks.NewClient(w.plain), asynq.NewClientFromRedisClient(w.plain), asynq.NewInspectorFromRedisClient(w.plain)
	t.Cleanup(w.end)
	return w
}

// end lets go of what killed processes were doing.
func (w *world) end() {
	close(w.over)
	w.running.Wait()
	for _, p := range w.processes {
		_ = p.rdb.Close()
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) forward(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	w.redis.SetTime(w.now)
	w.redis.FastForward(d)
}

// waiting lists the tasks that are to be run, in the order of the road.
func (w *world) waiting() []*asynq.TaskInfo {
	w.t.Helper()
	var all []*asynq.TaskInfo
	for _, stage := range tasks.Served() {
		for _, in := range []struct {
			state string
			list  func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)
		}{{"pending", w.inspector.ListPendingTasks}, {"scheduled", w.inspector.ListScheduledTasks}} {
			if !w.redis.Exists("asynq:{" + stage.Queue() + "}:" + in.state) {
				continue // asking the inspector takes much longer
			}
			infos, err := in.list(stage.Queue())
			if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
				w.t.Fatal(err)
			}
			all = append(all, infos...)
		}
	}
	return all
}

// due are the tasks that wait and whose time has come. One whose worker was killed keeps its id
// meanwhile, as an active one does.
func (w *world) due() []*asynq.TaskInfo {
	w.t.Helper()
	return slices.DeleteFunc(w.waiting(), func(info *asynq.TaskInfo) bool { return w.killed[info.ID] })
}

// run runs tasks until none is left. Before each one the clock moves past the next poll; a task
// that was killed, or that the queue is told to retry, is run again, after those that wait.
func (w *world) run() {
	w.t.Helper()
	for range 300 {
		if w.recovery.sweeps {
			w.sweepAfter(grace + time.Minute)
		}
		w.probe()
		infos := w.due()
		w.checkNotAhead(infos)
		switch {
		case len(infos) == 0 && w.sweep():
		case len(infos) == 0 && len(w.killed) == 0:
			return
		case len(infos) == 0:
			clear(w.killed)
		}
		for _, info := range infos {
			if w.lose(info) {
				continue
			}
			w.forward(15 * time.Second)
			for errors.Is(w.step(info), errKilled) && w.recovery.atOnce {
				w.checkNotAhead(w.due())
				w.forward(time.Minute)
			}
		}
	}
	w.t.Fatal("the tasks never come to an end")
}

// lose lets a task vanish, if it is to and has not before.
func (w *world) lose(info *asynq.TaskInfo) bool {
	if !w.loses || w.lost[info.ID] {
		return false
	}
	w.lost[info.ID] = true
	if err := w.inspector.DeleteTask(info.Queue, info.ID); err != nil {
		w.t.Fatal(err)
	}
	return true
}

// step runs one task, and does with it what Asynq would.
func (w *world) step(info *asynq.TaskInfo) error {
	w.t.Helper()
	result := w.handle(w.t.Context(), asynq.NewTaskWithHeaders(info.Type, info.Payload, info.Headers))
	var err error
	switch {
	case result == nil:
		err = w.complete(info)
	case errors.Is(result, asynq.SkipRetry):
		err = w.inspector.ArchiveTask(info.Queue, info.ID)
	case errors.Is(result, errKilled) && w.recovery.late:
		w.killed[info.ID] = true
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// complete ends a task. The inspector can only delete one; one that is retained is moved by hand to
// where Asynq keeps it.
func (w *world) complete(info *asynq.TaskInfo) error {
	if !w.recovery.retained || info.Retention == 0 {
		return w.inspector.DeleteTask(info.Queue, info.ID)
	}
	queue := "asynq:{" + info.Queue + "}:"
	_, err := w.plain.TxPipelined(w.t.Context(), func(tx redis.Pipeliner) error {
		tx.LRem(w.t.Context(), queue+"pending", 0, info.ID)
		tx.ZRem(w.t.Context(), queue+"scheduled", info.ID)
		tx.ZAdd(w.t.Context(), queue+"completed", redis.Z{Score: float64(w.clock().Add(info.Retention).Unix()), Member: info.ID})
		tx.HSet(w.t.Context(), queue+"t:"+info.ID, "state", "completed")
		return nil
	})
	return err
}

// untilStage runs a job until the task of a stage is all that waits.
func (w *world) untilStage(stage tasks.Stage) *asynq.TaskInfo {
	w.t.Helper()
	for range 50 {
		infos := w.waiting()
		if len(infos) == 1 && infos[0].Queue == stage.Queue() {
			return infos[0]
		}
		for _, info := range infos {
			w.forward(10 * time.Second)
			if err := w.step(info); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.t.Fatalf("%s never came", stage)
	return nil
}

// untilCleanup runs a job until its cleanup is all that waits.
func (w *world) untilCleanup() *asynq.TaskInfo {
	w.t.Helper()
	return w.untilStage(tasks.StageCleanup)
}

// sweep lets enough time pass for every deadline, and reports whether the sweeper found work, or
// was in trouble.
func (w *world) sweep() bool {
	w.t.Helper()
	return w.sweepAfter(10 * time.Minute)
}

func (w *world) sweepAfter(d time.Duration) bool {
	w.t.Helper()
	w.forward(d)
	met := len(w.met)
	err := w.work(func() error {
		_, err := w.pipeline.Sweep(w.t.Context())
		if w.renders > 0 {
			err = errors.Join(err, w.pipeline.sweepWindow(w.t.Context()))
		}
		return err
	})
	if err != nil && len(w.met) == met {
		w.t.Fatal(err)
	}
	return err != nil || len(w.due()) > 0
}

// probe asks whether what holds the fleet is mended, as a worker does every few seconds.
func (w *world) probe() {
	w.t.Helper()
	if !w.redis.Exists("hourglass:{fleet}:holds") {
		return
	}
	met := len(w.met)
	err := w.work(func() error { return w.pipeline.probe(w.t.Context()) })
	if err != nil && len(w.met) == met {
		w.t.Fatal(err)
	}
}

// submit enqueues a bare task, as other services do.
func (w *world) submit(r tasks.Request) {
	w.t.Helper()
	job, err := tasks.NewJob(r, w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	w.enqueue(job.Next())
}

func (w *world) enqueue(p tasks.Payload) {
	w.t.Helper()
	task, err := tasks.NewTask(p)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.queue.Enqueue(task); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) job(id string) *tasks.Job {
	w.t.Helper()
	job, err := w.client.Job(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// checkCopies reports an error unless every output of a project stands in the store, byte by
// byte, as the manifest says.
func (w *world) checkCopies(project string) error {
	p, found := w.fake.Project(project)
	if !found {
		return fmt.Errorf("there is no project %s", project)
	}
	id := p.Name[strings.LastIndex(p.Name, "[")+1 : strings.LastIndex(p.Name, "~")]
	m, err := (&Pipeline{store: w.store}).readManifest(w.t.Context(), &tasks.Job{Status: tasks.Status{ID: id}})
	if err != nil {
		return err
	}
	outputs, err := w.fake.Outputs(project)
	if err != nil {
		return err
	}
	if len(outputs) == 0 || len(outputs) != len(m.Outputs) {
		return fmt.Errorf("the project has %d outputs, the manifest %d", len(outputs), len(m.Outputs))
	}
	for _, f := range m.Outputs {
		body, err := w.store.Open(w.t.Context(), id+"/"+path.Base(f.Key))
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return err
		}
		want := ""
		for _, o := range outputs {
			if o.Path == f.Source {
				want = o.SHA256
			}
		}
		if got := fmt.Sprintf("%x", sum.Sum(nil)); got != want {
			return fmt.Errorf("%s differs from %s", f.Key, f.Source)
		}
	}
	return nil
}
