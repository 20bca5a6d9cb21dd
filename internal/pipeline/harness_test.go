package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A world is a pipeline with everything outside it, in one process: miniredis, the fake API, a
// local store, and a clock that only the test moves. Handlers are called directly, and every
// call that they make to the outside passes a gate, before and after, at which the world can be
// stopped as if the process were killed there.
type world struct {
	t        *testing.T
	redis    *miniredis.Miniredis
	fake     *magichourtest.Server
	store    storage.Store
	dir      string // of the store
	client   *tasks.Client
	pipeline *Pipeline

	queue     *asynq.Client // these two do not pass the gates
	inspector *asynq.Inspector

	mu       sync.Mutex
	now      time.Time
	calls    []string          // what passed the gates
	stopAt   map[int]bool      // gates at which the process is killed
	fail     map[int]error     // gates at which the call fails
	on       map[string]func() // what happens once at a gate, by its call
	unproved []string          // deletes that came before the proof
}

// errKilled is what a killed process leaves: it runs nothing any more.
var errKilled = errors.New("killed")

func newWorld(t *testing.T, o magichourtest.Options) *world {
	t.Helper()
	w := &world{t: t, redis: miniredis.RunT(t), now: noon, stopAt: map[int]bool{}, fail: map[int]error{}, on: map[string]func(){}, dir: t.TempDir()}
	w.redis.SetTime(noon)
	o.Now = w.clock
	w.fake = magichourtest.New(o)
	if err := w.fake.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.fake.Close)
	var err error
	if w.store, err = storage.Open(t.Context(), "file://"+w.dir, storage.Options{}); err != nil {
		t.Fatal(err)
	}
	plain := redis.NewClient(&redis.Options{Addr: w.redis.Addr()})
	t.Cleanup(func() { _ = plain.Close() })
	w.client, w.queue, w.inspector = tasks.NewClient(plain), asynq.NewClientFromRedisClient(plain), asynq.NewInspectorFromRedisClient(plain)
	gated := redis.NewClient(&redis.Options{Addr: w.redis.Addr(), MaxRetries: -1})
	t.Cleanup(func() { _ = gated.Close() })
	gated.AddHook(redisGate{w})
	api, err := magichour.New(w.fake.URL(), func() (string, error) { return "key", nil }, func(rt http.RoundTripper) http.RoundTripper { return httpGate{w, rt} })
	if err != nil {
		t.Fatal(err)
	}
	w.pipeline = New(api, storeGate{w, w.store}, gated, slog.New(slog.NewTextHandler(io.Discard, nil)), Settings{
		PollInterval: 10 * time.Second, RecordTTL: 168 * time.Hour, TaskRetention: time.Hour, GiveUp: 24 * time.Hour,
	})
	w.pipeline.now = w.clock
	w.pipeline.after = func(time.Duration) <-chan time.Time { c := make(chan time.Time); close(c); return c }
	return w
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

// gate counts a moment of a call to the outside, and stops the world there if it is to be.
func (w *world) gate(call string) error {
	w.mu.Lock()
	n := len(w.calls)
	w.calls = append(w.calls, call)
	kill, err, happens := w.stopAt[n], w.fail[n], w.on[call]
	delete(w.on, call)
	w.mu.Unlock()
	if happens != nil {
		happens()
	}
	if kill {
		panic(errKilled)
	}
	return err
}

// through lets a call pass both its gates. An error at the first means that it never took
// effect, at the second that its answer was lost.
func (w *world) through(call string, do func() error) error {
	if err := w.gate(call + " before"); err != nil {
		return err
	}
	err := do()
	return errors.Join(err, w.gate(call+" after"))
}

// handle runs one task as a worker would, up to the moment it is killed.
func (w *world) handle(ctx context.Context, task *asynq.Task) error {
	return w.alive(func() error { return w.pipeline.Handle(ctx, task) })
}

// alive runs something up to the moment at which the process is killed.
func (w *world) alive(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errKilled { //nolint:errorlint // the very value
				panic(r)
			}
			err = errKilled
		}
	}()
	return do()
}

// waiting lists the tasks that are to be run, in the order of the road.
func (w *world) waiting() []*asynq.TaskInfo {
	w.t.Helper()
	var all []*asynq.TaskInfo
	for _, stage := range tasks.Stages() {
		for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			w.inspector.ListPendingTasks, w.inspector.ListScheduledTasks,
		} {
			infos, err := list(stage.Queue())
			if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
				w.t.Fatal(err)
			}
			all = append(all, infos...)
		}
	}
	return all
}

// run runs tasks until none is left. Before each one the clock moves past the next poll; a task
// that was killed, or that the queue is told to retry, is run again, after those that wait.
func (w *world) run() {
	w.t.Helper()
	for range 300 {
		infos := w.waiting()
		if len(infos) == 0 {
			if !w.sweep() {
				return
			}
			continue
		}
		for _, info := range infos {
			w.forward(15 * time.Second)
			_ = w.step(info)
		}
	}
	w.t.Fatal("the tasks never come to an end")
}

// step runs one task, and does with it what Asynq would.
func (w *world) step(info *asynq.TaskInfo) error {
	w.t.Helper()
	result := w.handle(w.t.Context(), asynq.NewTask(info.Type, info.Payload))
	var err error
	switch {
	case result == nil:
		err = w.inspector.DeleteTask(info.Queue, info.ID)
	case errors.Is(result, asynq.SkipRetry):
		err = w.inspector.ArchiveTask(info.Queue, info.ID)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return result
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

// sweep lets enough time pass for every deadline, and reports whether the sweeper found work.
func (w *world) sweep() bool {
	w.t.Helper()
	w.forward(10 * time.Minute)
	err := w.alive(func() error {
		_, err := w.pipeline.Sweep(w.t.Context())
		return err
	})
	if err != nil && !errors.Is(err, errKilled) {
		w.t.Fatal(err)
	}
	return errors.Is(err, errKilled) || len(w.waiting()) > 0
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

// redisGate puts every round trip to Redis behind the gates.
type redisGate struct{ w *world }

func (g redisGate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (g redisGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if housekeeping(cmd) {
			return next(ctx, cmd)
		}
		return g.w.through("redis "+cmd.Name(), func() error { return next(ctx, cmd) })
	}
}

func (g redisGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if housekeeping(cmds[0]) {
			return next(ctx, cmds)
		}
		return g.w.through("redis pipeline", func() error { return next(ctx, cmds) })
	}
}

// housekeeping is what the Redis client says to a new connection.
func housekeeping(cmd redis.Cmder) bool {
	return cmd.Name() == "hello" || cmd.Name() == "client"
}

// httpGate puts every request behind the gates, and looks at the store before every DELETE.
type httpGate struct {
	w    *world
	next http.RoundTripper
}

func (g httpGate) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Method == http.MethodDelete {
		if err := g.w.checkCopies(path.Base(r.URL.Path)); err != nil {
			g.w.mu.Lock()
			g.w.unproved = append(g.w.unproved, err.Error())
			g.w.mu.Unlock()
		}
	}
	err = g.w.through("http "+r.Method, func() error {
		resp, err = g.next.RoundTrip(r) //nolint:bodyclose // it goes on to the caller
		return err
	})
	if err != nil && resp != nil {
		_ = resp.Body.Close()
		resp = nil
	}
	return resp, err
}

// storeGate puts every call of the store behind the gates.
type storeGate struct {
	w *world
	storage.Store
}

func (g storeGate) Put(ctx context.Context, key string, r io.Reader, o storage.PutOptions) (out storage.Object, err error) {
	err = g.w.through("store put", func() error { out, err = g.Store.Put(ctx, key, r, o); return err })
	return out, err
}

func (g storeGate) Head(ctx context.Context, key string) (out storage.Object, err error) {
	err = g.w.through("store head", func() error { out, err = g.Store.Head(ctx, key); return err })
	return out, err
}

func (g storeGate) Tidy(ctx context.Context, prefix string, age time.Duration) (n int, err error) {
	err = g.w.through("store tidy", func() error { n, err = g.Store.Tidy(ctx, prefix, age); return err })
	return n, err
}

func (g storeGate) Open(ctx context.Context, key string) (out io.ReadCloser, err error) {
	err = g.w.through("store open", func() error { out, err = g.Store.Open(ctx, key); return err })
	return out, err
}
