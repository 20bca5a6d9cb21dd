package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// An outage is one part that is taken away from a fleet, and brought back.
type outage struct {
	name string
	part string // that readiness must name
	says string // and what it says of it
	// prepare makes the fleet, and returns how the part goes away and comes back.
	prepare func(t *testing.T) (f *fleet, away, back func())
}

func outages() []outage {
	return []outage{
		{"Redis is killed", "redis", "refused", redisKilled},
		{"Redis is full", "redis", "OOM", redisFull},
		{"S3 answers 503", "store", "503", s3Answers503},
		{"S3 refuses connections", "store", "refused", s3Refuses},
		{"the way to S3 swallows all", "store", "deadline", s3Hangs},
		{"the API answers 500", "api", "500", apiAnswers(`[
			{"call":"create","status":503,"times":-1},{"call":"poll","status":500,"times":-1},
			{"call":"delete","status":500,"times":-1},{"call":"account","status":500,"times":-1}]`)},
		{"the API answers with a page", "api", "502", apiAnswers(`{"status":502,"shape":"html","times":-1}`)},
		{"the API refuses connections", "api", "refused", apiRefuses},
		{"the disk is full", "store", "no space left", diskFull},
	}
}

// slowCopies lets a file be copied for a second and a half. That a project is deleted is said, and not left to a 404, which
// a cleanup that could not save its DELETE would wait out for ten minutes.
const slowCopies = `{"output_size":150000,"body":"slow","rate":100000,"deleted_as":"disabled"}`

// TestAway takes away each part that a fleet needs while jobs stand everywhere on the road:
// readiness names the part, the log stays readable, and when the part is back all jobs end as if
// nothing had been. HOURGLASS_AWAY=60s keeps it away longer.
func TestAway(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for _, o := range outages() { // at once, and not by t.Parallel: they only wait
		all.Go(func() { t.Run(o.name, o.test) })
	}
	all.Wait()
}

func (o outage) test(t *testing.T) {
	f, away, back := o.prepare(t)
	f.put("/_fake/behavior", slowCopies)
	worker, address := f.startWorker("HOURGLASS_CREATE_CONCURRENCY=2", "HOURGLASS_DOWNLOAD_CONCURRENCY=4")
	const jobs = 30
	f.onTheRoad(jobs)

	away()
	began, before := time.Now(), worker.count()
	f.eventually("readiness names the part", func() bool {
		var said map[string]string
		return f.get(address+"/readyz", &said) == http.StatusServiceUnavailable && strings.Contains(said[o.part], o.says)
	})
	f.checkOthersReady(address, o.part)
	for time.Since(began) < awayFor(t) {
		<-time.After(100 * time.Millisecond)
	}
	if written := worker.count() - before; written >= 2*jobs {
		t.Errorf("%d lines in the log for %d jobs in %v:\n%s", written, jobs, time.Since(began), strings.Join(worker.lines[before:], "\n"))
	}
	back()

	f.allDone(jobs)
	if status := f.get(address+"/readyz", nil); status != http.StatusOK {
		t.Errorf("/readyz afterwards: %d", status)
	}
	f.checkSecrets()
}

func awayFor(t *testing.T) time.Duration {
	t.Helper()
	long, err := time.ParseDuration(os.Getenv("HOURGLASS_AWAY"))
	if err != nil {
		return 8 * time.Second
	}
	return long
}

// onTheRoad submits jobs until some wait to be bought, some render, and some are being copied.
func (f *fleet) onTheRoad(jobs int) {
	f.t.Helper()
	for i := range jobs / 2 {
		f.submit(request(i))
	}
	f.eventually("some are being copied", func() bool { return f.standing(tasks.Storing) >= 4 })
	for i := range jobs - jobs/2 {
		f.submit(request(jobs/2 + i))
	}
	f.eventually("some render", func() bool { return f.standing(tasks.Rendering) > 0 })
	if f.standing(tasks.Pending, tasks.Creating) == 0 || f.standing(tasks.Storing) == 0 {
		f.t.Log("no job stands in one of the stages")
	}
}

// standing counts the jobs in the given states.
func (f *fleet) standing(states ...tasks.State) (n int) {
	f.t.Helper()
	for _, err := range f.client.List(f.t.Context(), tasks.Filter{States: states}) {
		if err != nil {
			f.t.Fatal(err)
		}
		n++
	}
	return n
}

func (f *fleet) checkOthersReady(address, away string) {
	f.t.Helper()
	var said map[string]string
	f.get(address+"/readyz", &said)
	for part, words := range said {
		if part != away && part != "status" && !strings.HasPrefix(words, "ok") {
			f.t.Errorf("%s is away, and %s says %s", away, part, words)
		}
	}
}

// allDone waits for all jobs, and holds that each was bought once and deleted once.
func (f *fleet) allDone(jobs int) {
	f.t.Helper()
	var ids []string
	for i := range jobs {
		ids = append(ids, request(i).ID)
	}
	limit := 4*time.Minute + 2*awayFor(f.t) // a task that ended meanwhile comes back by its lease
	out, stderr, code := f.enqueue(append([]string{"wait", "--timeout", limit.String()}, ids...)...)
	if code != 0 {
		f.t.Errorf("wait: exit %d: %s\n%s", code, stderr, out)
	}
	if got := f.totals(); got.Creates != jobs || got.Deletes != jobs || got.Violations != 0 {
		f.t.Errorf("the API saw %+v", got)
	}
}

// count is how many lines there are.
func (l *log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

const renderTime = "2s"

// redisKilled: with appendfsync always. Under everysec, the default, a crash may lose the last
// second, and docs/reliability.md says so.
func redisKilled(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	server := testservers.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	f = fleetAt(t, server.Addr)
	f.startFake("--render", renderTime)
	return f, server.Kill, func() { server.Restart() }
}

func redisFull(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	f = newFleet(t, "--render", renderTime)
	memory := func(bytes string) func() {
		return func() {
			for name, value := range map[string]string{"maxmemory-policy": "noeviction", "maxmemory": bytes} {
				if err := f.rdb.ConfigSet(t.Context(), name, value).Err(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	return f, memory("1"), memory("0")
}

// throughWire lays a wire between the workers and their S3 server.
func throughWire(t *testing.T) (*fleet, *wire, string) {
	t.Helper()
	f := newFleet(t, "--render", renderTime)
	server := strings.TrimPrefix(f.s3.Endpoint, "http://")
	w := newWire(t, server)
	f.env = append(f.env, "AWS_ENDPOINT_URL_S3=http://"+w.addr)
	return f, w, server
}

func s3Answers503(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	f, w, server := throughWire(t)
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
	}))
	t.Cleanup(busy.Close)
	return f, func() { w.to(strings.TrimPrefix(busy.URL, "http://")) }, func() { w.to(server) }
}

func s3Hangs(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	f, w, server := throughWire(t)
	return f, w.hold, func() { w.to(server) }
}

func s3Refuses(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	f, w, server := throughWire(t)
	return f, w.cut, func() { w.to(server) }
}

func apiAnswers(faults string) func(*testing.T) (f *fleet, away, back func()) {
	return func(t *testing.T) (f *fleet, away, back func()) {
		t.Helper()
		f = newFleet(t, "--render", renderTime)
		return f, func() { f.post("/_fake/faults", faults) }, func() { f.steer(http.MethodDelete, "/_fake/faults", "") }
	}
}

func apiRefuses(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	f = newFleet(t, "--render", renderTime)
	server := strings.TrimPrefix(f.api, "http://")
	w := newWire(t, server)
	f.env = append(f.env, "MAGIC_HOUR_BASE_URL=http://"+w.addr)
	away = func() {
		// A purchase that is cut off in its middle would be parked, and rightly: none may be under way.
		f.hold("create")
		w.cut()
		f.release("create")
	}
	return f, away, func() { w.to(server) }
}

// hold holds the create stage, and waits until no purchase is under way any more.
func (f *fleet) hold(stage string) {
	f.t.Helper()
	began := time.Now()
	if out, stderr, code := f.run("worker", "", "hold", stage); code != 0 {
		f.t.Errorf("worker hold %s: exit %d, %s%s", stage, code, out, stderr)
	}
	f.eventually("no purchase is under way", func() bool { // workers look for holds once a second
		return time.Since(began) > 3*time.Second && f.standing(tasks.Creating) == 0
	})
}

func (f *fleet) release(stage string) {
	f.t.Helper()
	if out, stderr, code := f.run("worker", "", "release", stage); code != 0 {
		f.t.Errorf("worker release %s: exit %d, %s%s", stage, code, out, stderr)
	}
}

// diskFull needs a disk that can be filled: a file system of its own, which only root can mount.
func diskFull(t *testing.T) (f *fleet, away, back func()) {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("mount a disk to fill: %v (only root can, and not in every container)", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	f = newFleet(t, "--render", renderTime)
	f.env = append(f.env, "STORAGE_URL=file://"+filepath.Join(disk, "media"))
	ballast := filepath.Join(disk, "ballast")
	ctx, stop := context.WithCancel(t.Context())
	var filling sync.WaitGroup
	t.Cleanup(filling.Wait)
	t.Cleanup(stop)
	away = func() {
		filling.Go(func() {
			for ctx.Err() == nil { // a copy that fails makes room again
				fill(t, ballast)
				<-time.After(20 * time.Millisecond)
			}
		})
	}
	return f, away, func() {
		stop()
		filling.Wait()
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
}

// fill writes until the disk takes no more.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Error(err)
		return
	}
	for data := make([]byte, 4096); err == nil; {
		_, err = file.Write(data)
	}
	if _ = file.Close(); !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		t.Errorf("fill the disk: %v", err)
	}
}

// TestUnknownHost: jobs of a worker that does not find the API wait for one that does.
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	lost, address := f.startWorker("MAGIC_HOUR_BASE_URL=http://magichour.invalid")
	const jobs = 3
	for i := range jobs {
		f.submit(request(i))
	}
	if lost.find(`"to be tried again"`) == "" {
		t.Error("the log does not say why nothing goes on")
	}
	var said map[string]string
	if status := f.get(address+"/readyz", &said); status != http.StatusServiceUnavailable || !strings.Contains(said["api"], "magichour.invalid") {
		t.Errorf("/readyz: %d %v", status, said)
	}
	f.checkOthersReady(address, "api")
	if got := f.standing(tasks.Pending, tasks.Creating); got != jobs {
		t.Errorf("%d jobs wait, want %d", got, jobs)
	}
	lost.signal(syscall.SIGTERM)
	if !lost.ends(time.Minute) {
		t.Fatal("the worker does not end")
	}
	f.startWorker()
	f.allDone(jobs)
}
