//go:build torture

package e2e

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// frozenFor is longer than the lease of a task: another worker takes over, and then the frozen one
// goes on as if nothing had been.
const frozenFor = 40 * time.Second

// A slot is a worker, and what is being done to it.
type slot struct {
	log    *log
	frozen time.Time // until when; zero: it is not
	ending time.Time // since when it drains; zero: it does not
}

func (s *slot) busy() bool { return !s.frozen.IsZero() || !s.ending.IsZero() }

// harm hurts one worker every few seconds, and spoils some answers of the API. The same seed hurts in
// the same order.
func (x *torture) harm() {
	if time.Now().Before(x.nextHarm) {
		return
	}
	x.nextHarm = time.Now().Add(2*time.Second + time.Duration(x.random.Int64N(int64(4*time.Second))))
	s, kind := x.slots[x.random.IntN(workers)], x.random.IntN(10)
	left := len(x.requests) - x.ended()
	x.fake.ClearFaults() // those that nobody met would pile up for the last jobs
	for range min(3, (x.submitted-x.ended()+4)/8) {
		x.spoil()
	}
	switch {
	case s.busy() || left <= max(2, len(x.requests)/20): // let the last ones come to their end
	case kind < 5:
		s.log.signal(syscall.SIGKILL)
		<-s.log.exited
		x.replace(s)
		x.count.kills++
	case kind < 7 && !x.someFrozen():
		s.log.signal(syscall.SIGSTOP)
		s.frozen = time.Now().Add(frozenFor)
		x.count.freezes++
	default:
		s.log.signal(syscall.SIGTERM)
		s.ending = time.Now()
		x.count.terminations++
	}
}

func (x *torture) someFrozen() bool {
	for _, s := range x.slots {
		if !s.frozen.IsZero() {
			return true
		}
	}
	return false
}

// spoil lets something go wrong with the API or the media host.
func (x *torture) spoil() {
	const create, poll, remove, download = magichourtest.Create, magichourtest.Poll, magichourtest.Delete, magichourtest.Download
	kinds := []magichourtest.Fault{
		{Call: create, Do: magichourtest.Reset, After: true}, // bought, and nobody hears of it
		{Call: create, Do: magichourtest.Garbage},            // the same
		{Call: create, Status: 500},                          // not bought, but who can tell?
		{Call: create, Status: 503},
		{Call: create, Status: 502, Shape: magichourtest.HTML},
		{Call: create, Status: 429, RetryAfter: "1"},
		{Call: poll, Status: 500, Times: 2},
		{Call: poll, Do: magichourtest.Reset},
		{Call: poll, Status: 502, Shape: magichourtest.HTML},
		{Call: download, Status: 503, Times: 2},
		{Call: download, Do: magichourtest.Reset},
		{Call: remove, Status: 500, Times: 2},
		{Call: remove, Do: magichourtest.Reset, After: true},
	}
	x.fake.Inject(kinds[x.random.IntN(len(kinds))])
	x.count.faults++
}

// tend thaws what was frozen for long enough, and starts anew what has drained.
func (x *torture) tend() {
	for _, s := range x.slots {
		exited := s.log.ends(0)
		switch {
		case !s.frozen.IsZero() && time.Now().After(s.frozen):
			s.log.signal(syscall.SIGCONT)
			s.frozen = time.Time{}
		case !s.ending.IsZero() && exited:
			if code := s.log.process.ProcessState.ExitCode(); code != 0 {
				x.t.Errorf("a worker that was told to stop ended with %v", s.log.process.ProcessState)
			}
			x.replace(s)
			s.ending = time.Time{}
		case exited:
			x.t.Errorf("a worker ended by itself: %v\n%s", s.log.process.ProcessState, tail(s.log.text(), 2000))
			x.replace(s)
		}
	}
}

func (x *torture) replace(s *slot) { s.log, _ = x.startWorker() }

// durable: appendfsync always, because with everysec a killed Redis may lose what it took within
// the last second. docs/reliability.md names that; here nothing may be lost.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// startRedis starts a primary and its replica.
func (x *torture) startRedis(t *testing.T) {
	t.Helper()
	x.primary, x.replica = testservers.StartRedis(t, durable...), testservers.StartRedis(t, durable...)
	x.door, x.link = newWire(t, x.primary.Addr), newWire(t, x.primary.Addr)
	command(t, x.replica, append([]any{"REPLICAOF"}, hostPort(x.link.addr)...)...)
	awaitReplica(t, x.primary)
}

func hostPort(addr string) []any {
	host, port, _ := net.SplitHostPort(addr)
	return []any{host, port}
}

func command(t *testing.T, server *testservers.RedisServer, words ...any) string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr})
	defer func() { _ = rdb.Close() }()
	said, err := rdb.Do(t.Context(), words...).Text()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return said
}

func awaitReplica(t *testing.T, primary *testservers.RedisServer) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(command(t, primary, "INFO", "replication"), "state=online"); {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not come")
		}
		<-time.After(100 * time.Millisecond)
	}
}

// harmRedis kills Redis when a fifth and when three quarters of the jobs have ended, and fails it over
// in between.
func (x *torture) harmRedis() {
	share := float64(x.ended()) / float64(len(x.requests))
	switch {
	case x.milestone == 0 && share >= 0.2, x.milestone == 2 && share >= 0.75:
		x.restartRedis()
	case x.milestone == 1 && share >= 0.4:
		x.failOver()
	default:
		return
	}
	x.milestone++
}

func (x *torture) restartRedis() {
	x.primary.Kill()
	<-time.After(3 * time.Second)
	x.primary.Restart()
	awaitReplica(x.t, x.primary)
	x.count.restarts++
}

// failOver parts the primary from its replica, and demands that nothing is bought from then on: no
// replica confirms a mark. Then the primary dies, and the replica takes over, without all that was
// written meanwhile. (A replica that is merely frozen would still read, once it is thawed, what the
// kernel kept for it; that a network loses things must be tried as well.)
func (x *torture) failOver() {
	awaitReplica(x.t, x.primary)
	x.link.hold()
	<-time.After(3 * time.Second) // what was confirmed before may still be bought
	before := x.fake.Totals().Creates
	more := x.requests[x.submitted:min(x.submitted+burst, len(x.requests))]
	for _, r := range more {
		x.submit(r)
	}
	x.submitted += len(more)
	<-time.After(6 * time.Second)
	if bought := x.fake.Totals().Creates - before; bought != 0 {
		x.t.Errorf("%d projects were bought though no replica confirmed their marks", bought)
	}
	if waiting := x.standing(tasks.Pending, tasks.Creating); waiting == 0 || waiting < len(more) {
		x.t.Errorf("%d jobs wait to be bought, want the %d that came meanwhile", waiting, len(more))
	}
	x.primary.Kill()
	x.link.cut()
	command(x.t, x.replica, "REPLICAOF", "NO", "ONE")
	x.door.to(x.replica.Addr)
	x.primary.Restart()
	x.primary, x.replica = x.replica, x.primary
	command(x.t, x.replica, append([]any{"REPLICAOF"}, hostPort(x.primary.Addr)...)...)
	awaitReplica(x.t, x.primary)
	for id := range x.state { // the replica may not know of the last steps
		x.state[id] = tasks.Pending
	}
	x.count.failovers++
}
