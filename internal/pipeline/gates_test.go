package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
)

// A process is one life of a program: it has connections and memory of its own. When it is killed,
// whatever it was doing stops where it stands, and not even what it had deferred is done.
type process struct {
	w    *world
	rdb  *redis.Client // behind the gates; it repeats nothing by itself
	dead chan struct{}
	once sync.Once
}

// errKilled is what a killed process leaves: it runs nothing any more.
var errKilled = errors.New("killed")

func (w *world) begin() *process {
	p := &process{w: w, rdb: redis.NewClient(&redis.Options{Addr: w.redis.Addr(), MaxRetries: -1}), dead: make(chan struct{})}
	p.rdb.AddHook(redisGate{p})
	w.processes = append(w.processes, p)
	return p
}

// start begins the process of a worker.
func (w *world) start() {
	p := w.begin()
	pipeline := w.worker(p, "key")
	w.hook.Lock()
	defer w.hook.Unlock()
	w.process, w.pipeline = p, pipeline
}

// worker is what a process runs, with its key of the API.
func (w *world) worker(p *process, key string) *Pipeline {
	api, err := magichour.New(w.fake.URL(), func() (string, error) { return key, nil }, func(rt http.RoundTripper) http.RoundTripper { return httpGate{p, rt} })
	if err != nil {
		w.t.Fatal(err)
	}
	pipeline := New(api, w.stores(p), w.inputs(p), p.rdb, slog.New(slog.NewTextHandler(io.Discard, nil)), Settings{
		PollInterval: 10 * time.Second, RecordTTL: 168 * time.Hour, TaskRetention: time.Hour, GiveUp: 24 * time.Hour, MaxRenders: w.renders, APIRate: w.rate,
	})
	pipeline.now, pipeline.holds.now = w.clock, w.clock
	pipeline.retried = func(context.Context) int { return w.tries }
	pipeline.after = func(time.Duration) <-chan time.Time { c := make(chan time.Time); close(c); return c }
	if w.receiver != nil {
		pipeline.CallBy(w.receiver.sender)
	}
	return pipeline
}

// handle runs one task as a worker would, up to the moment it is killed. Then another worker starts.
func (w *world) handle(ctx context.Context, task *asynq.Task) error {
	return w.work(func() error { return w.pipeline.Handle(ctx, task) })
}

// work lets the worker do something.
func (w *world) work(do func() error) error {
	p := w.process
	err := p.alive(do)
	if errors.Is(err, errKilled) && w.process == p {
		w.start()
	}
	return err
}

// alive runs something up to the moment at which the process is killed.
func (p *process) alive(do func() error) error {
	result := make(chan error, 1)
	p.w.running.Go(func() {
		err := errKilled
		defer func() { result <- err }()
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
				p.w.t.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		err = do()
	})
	select {
	case err := <-result:
		return err
	case <-p.dead:
		return errKilled
	}
}

// kill ends the process at the next gate that it comes to.
func (p *process) kill() { p.once.Do(func() { close(p.dead) }) }

// breathe returns only if the process lives.
func (p *process) breathe() {
	select {
	case <-p.dead:
		<-p.w.over
		runtime.Goexit()
	default:
	}
}

// when says what happens once at a gate; nil: nothing. Several calls may be under way.
func (w *world) when(call string, happens func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on[call] = happens
}

// gate is a moment of a call to the outside.
func (p *process) gate(call string) error {
	p.breathe()
	w := p.w
	w.mu.Lock()
	n := len(w.calls)
	w.calls = append(w.calls, call)
	err, happens, stops := w.fail[n], w.on[call], w.stopAt[n]
	delete(w.on, call)
	if happens == nil {
		happens = w.at[n]
	}
	w.mu.Unlock()
	if stops {
		p.kill()
	}
	if happens != nil {
		happens()
	}
	p.breathe()
	return err
}

// through lets a call pass both its gates. An error at the first means that it never took effect,
// at the second that its answer was lost.
func (p *process) through(l layer, call string, do func() error) error {
	call = string(l) + " " + call
	meets := p.w.meet(l, call)
	if meets == stopsBefore {
		p.kill()
	}
	if err := p.gate(call + " before"); err != nil {
		return err
	}
	if meets == fails {
		return l.refused()
	}
	err := do()
	if meets == stopsAfter {
		p.kill()
	}
	if late := p.gate(call + " after"); late != nil {
		return late
	}
	if meets == loses {
		return l.cut()
	}
	return err
}

// redisGate puts every round trip to Redis behind the gates.
type redisGate struct{ p *process }

func (g redisGate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (g redisGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if housekeeping(cmd) {
			return next(ctx, cmd)
		}
		err := g.p.through(inRedis, cmd.Name(), func() error { return next(ctx, cmd) })
		cmd.SetErr(err)
		return err
	}
}

func (g redisGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if housekeeping(cmds[0]) {
			return next(ctx, cmds)
		}
		var answered error
		err := g.p.through(inRedis, "pipeline", func() error { answered = next(ctx, cmds); return answered })
		if err != nil && err != answered { //nolint:errorlint // is it the very answer?
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// housekeeping is what the Redis client says to a new connection.
func housekeeping(cmd redis.Cmder) bool {
	return cmd.Name() == "hello" || cmd.Name() == "client"
}

// httpGate puts every request behind the gates, and looks at the store before every DELETE.
type httpGate struct {
	p    *process
	next http.RoundTripper
}

func (g httpGate) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Method == http.MethodDelete {
		g.p.w.witness(path.Base(r.URL.Path))
	}
	if r.Method == http.MethodPost {
		g.p.w.witnessPurchase()
	}
	call := r.Method
	media := r.Header.Get("Authorization") == ""
	if media {
		call += " media"
	}
	resp, err = g.p.exchange(inHTTP, call, r, g.next.RoundTrip)
	if media && err == nil {
		resp.Body = g.p.halfway(inHTTP, "body", resp.Body, resp.ContentLength)
	}
	return resp, err
}

// exchange sends a request through the gates.
func (p *process) exchange(l layer, call string, r *http.Request, send func(*http.Request) (*http.Response, error)) (resp *http.Response, err error) {
	err = p.through(l, call, func() (err error) {
		resp, err = send(r) //nolint:bodyclose // it goes on to the caller
		return err
	})
	if err != nil && resp != nil {
		_ = resp.Body.Close()
		resp = nil
	}
	return resp, err
}

// witness looks at the store when a project is about to be deleted.
func (w *world) witness(project string) {
	if err := w.checkCopies(project); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unproved = append(w.unproved, err.Error())
	}
}

// A body is a call of its own, which fails in its middle, or loses its end.
type body struct {
	io.ReadCloser
	p     *process
	layer layer
	call  string
	left  int64 // bytes to the middle
	begun bool
	meets kind
	lent  bool // it is read by a goroutine that is not the process's own, which must not end with it
}

// gate is that of the process, in a goroutine that may end with it.
func (b *body) gate(call string) error {
	if !b.lent {
		return b.p.gate(call)
	}
	passed := make(chan error, 2)
	b.p.w.running.Go(func() {
		defer func() { passed <- errKilled }()
		passed <- b.p.gate(call)
	})
	return <-passed
}

func (p *process) halfway(l layer, call string, r io.ReadCloser, size int64) *body {
	return &body{ReadCloser: r, p: p, layer: l, call: string(l) + " " + call, left: max(size, 2) / 2}
}

// Read implements io.Reader.
func (b *body) Read(to []byte) (int, error) {
	if b.left > 0 {
		n, err := b.ReadCloser.Read(to[:min(int64(len(to)), b.left)])
		if b.left -= int64(n); err == nil || errors.Is(err, io.EOF) {
			return n, b.end(err)
		}
		return n, err
	}
	if !b.begun {
		b.begun, b.meets = true, b.p.w.meet(b.layer, b.call)
		if b.meets == stopsBefore {
			b.p.kill()
		}
		if err := b.gate(b.call + " before"); err != nil {
			return 0, err
		}
	}
	if b.meets == fails {
		return 0, b.layer.cut()
	}
	n, err := b.ReadCloser.Read(to)
	return n, b.end(err)
}

func (b *body) end(err error) error {
	if !errors.Is(err, io.EOF) || !b.begun {
		return err
	}
	if b.meets == stopsAfter {
		b.p.kill()
	}
	if late := b.gate(b.call + " after"); late != nil {
		return late
	}
	if b.meets == loses {
		return b.layer.cut()
	}
	return err
}

// storeGate puts every call of the store behind the gates.
type storeGate struct {
	p *process
	storage.Store
}

func (g storeGate) Put(ctx context.Context, key string, r io.Reader, o storage.PutOptions) (out storage.Object, err error) {
	err = g.p.through(inStore, "put", func() error { out, err = g.Store.Put(ctx, key, r, o); return err })
	return out, err
}

func (g storeGate) Head(ctx context.Context, key string) (out storage.Object, err error) {
	err = g.p.through(inStore, "head", func() error { out, err = g.Store.Head(ctx, key); return err })
	return out, err
}

func (g storeGate) Tidy(ctx context.Context, prefix string, age time.Duration) (n int, err error) {
	err = g.p.through(inStore, "tidy", func() error { n, err = g.Store.Tidy(ctx, prefix, age); return err })
	return n, err
}

func (g storeGate) Open(ctx context.Context, key string) (out io.ReadCloser, err error) {
	err = g.p.through(inStore, "open", func() error { out, err = g.Store.Open(ctx, key); return err })
	if err != nil {
		return nil, err
	}
	return g.p.halfway(inStore, "body", out, -1), nil
}

// s3Gate puts every request of an S3 store, or of a reader of inputs, behind the gates.
type s3Gate struct {
	p      *process
	client *http.Client
	lent   bool // what it reads is sent elsewhere
}

// Do implements aws.HTTPClient.
func (g s3Gate) Do(r *http.Request) (*http.Response, error) {
	call := storagetest.Operation(r)
	if call == "ListMultipartUploads" {
		g.p.w.witnessLitter()
	}
	resp, err := g.p.exchange(inStore, call, r, g.client.Do)
	if err == nil && r.Method == http.MethodGet && resp.StatusCode == http.StatusOK {
		b := g.p.halfway(inStore, "body", resp.Body, resp.ContentLength)
		b.lent = g.lent
		resp.Body = b
	}
	return resp, err
}
