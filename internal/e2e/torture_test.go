//go:build torture

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	workers  = 3
	burst    = 10 // jobs that are kept for the failover, if there are so many
	lookEach = 500 * time.Millisecond
)

// A torture is a fleet to which harm is done while it works. All of it is led from one loop.
type torture struct {
	*fleet
	random   *rand.Rand
	deadline time.Time
	requests []tasks.Request
	fate     map[string]tasks.State // what the script lets a job end in; done where it says nothing

	fake  *magichourtest.Server
	store storage.Store

	door             *wire // what all take for Redis
	link             *wire // from the replica to its primary
	primary, replica *testservers.RedisServer

	slots     []*slot
	nextHarm  time.Time
	submitted int
	state     map[string]tasks.State // of each job, when last seen
	parked    map[string]time.Time   // since when a job is unknown
	retries   map[string]int         // of jobs that failed and should not

	boughtAgain map[string]int // by hand, of each job
	milestone   int            // what was done to Redis so far

	count tally
}

// A tally is what the last line says.
type tally struct {
	kills, freezes, terminations, restarts, failovers int

	faults, lost, resolved, recreated, retried int
}

// TestTorture is the whole of it: three workers that are killed, frozen and terminated, a Redis that
// is killed and fails over, and an API that loses answers, while hundreds of jobs are on the road.
// HOURGLASS_TORTURE_JOBS says how many (500), HOURGLASS_TORTURE_TIME for how long at most (20m), and
// HOURGLASS_SEED repeats the harm.
func TestTorture(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	x := newTorture(t)
	defer x.summary()
	tick := time.NewTicker(lookEach)
	defer tick.Stop()
	for x.ended() < len(x.requests) {
		if time.Now().After(x.deadline) {
			x.reportLate()
			return
		}
		x.feed()
		x.harm()
		x.tend()
		x.harmRedis()
		x.look()
		x.decide()
		<-tick.C
	}
	x.stop()
	x.judge()
}

func newTorture(t *testing.T) *torture {
	t.Helper()
	seed := setting(t, "HOURGLASS_SEED", uint64(time.Now().UnixNano()), func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
	jobs := setting(t, "HOURGLASS_TORTURE_JOBS", 500, strconv.Atoi)
	limit := setting(t, "HOURGLASS_TORTURE_TIME", 20*time.Minute, time.ParseDuration)
	t.Logf("HOURGLASS_SEED=%d HOURGLASS_TORTURE_JOBS=%d HOURGLASS_TORTURE_TIME=%s", seed, jobs, limit)
	x := &torture{
		random: rand.New(rand.NewPCG(seed, 0)), deadline: time.Now().Add(limit), //nolint:gosec // it must be repeatable
		fate: map[string]tasks.State{}, state: map[string]tasks.State{}, parked: map[string]time.Time{}, retries: map[string]int{}, boughtAgain: map[string]int{},
	}
	for i := range jobs {
		x.requests = append(x.requests, x.request(i, jobs))
	}
	x.startRedis(t)
	x.fleet = fleetAt(t, x.door.addr)
	x.startAPI(seed)
	x.env = append(x.env, "HOURGLASS_DRAIN=3s")
	for range workers {
		log, _ := x.startWorker()
		x.slots = append(x.slots, &slot{log: log})
	}
	x.nextHarm = time.Now().Add(5 * time.Second)
	return x
}

// setting reads a parameter of the torture.
func setting[T any](t *testing.T, name string, value T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return value
	}
	value, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return value
}

// request makes the i-th request, with what is to happen to its project in its name.
func (x *torture) request(i, jobs int) tasks.Request {
	id := fmt.Sprintf("job-%d", i)
	directive, ending := "", tasks.Done
	switch n := x.random.IntN(100); {
	case n < 3:
		directive, ending = "error=no_source_face", tasks.Failed
	case n < 5:
		directive, ending = "canceled", tasks.Canceled
	case n < 15:
		directive = "body=truncated body_times=1"
	case n < 25:
		directive = "body=cut body_times=1"
	case n < 40: // an upload of several parts, slow enough to be caught in the middle
		directive = "output_size=17000000 body=slow rate=6000000"
	case n < 44:
		directive = "missing_gets=2"
	case n < 48:
		directive = "empty_gets=2"
	case n < 52:
		directive = "late_gets=1"
	case n < 60 && i < 100 && jobs >= 400:
		// A DELETE whose answer is lost is believed after ten minutes of 404: only of the first jobs, so
		// that they come to their end within the time. Of the others a GET says that they are deleted.
		directive = "deleted_as=404"
	}
	if ending != tasks.Done {
		x.fate[id] = ending
	}
	name := fmt.Sprintf("clip %d", i)
	if directive != "" {
		name += " [fake " + directive + "]"
	}
	operation, rest := "text-to-video", `"end_seconds":5,"style":{"prompt":"a tin robot"}`
	switch i % 3 {
	case 1:
		operation, rest = "ai-image-generator", `"image_count":4,"style":{"prompt":"a tin robot"}`
	case 2:
		operation, rest = "ai-voice-generator", `"style":{"prompt":"hello","voice_name":"Morgan Freeman"}`
	}
	return tasks.Request{ID: id, Operation: operation, Body: []byte(fmt.Sprintf(`{"name":%q,%s}`, name, rest))}
}

// startAPI starts the fake in this process, so that it can look into the store at every DELETE. Its
// URLs expire while a set of files is being copied.
func (x *torture) startAPI(seed uint64) {
	x.t.Helper()
	x.store = x.openStore()
	x.fake = magichourtest.New(magichourtest.Options{
		Key: apiKey, Seed: seed, Render: map[string]time.Duration{"": 3 * time.Second}, URLTTL: 2 * time.Second, Credits: 1e9,
		DeletedAs: magichourtest.Disabled,
		OnDelete:  x.proved,
	})
	if err := x.fake.Start(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(x.fake.Close)
	x.useAPI(x.fake.URL())
}

// feed keeps the road busy, with so few jobs at once that every kind of harm meets all stages. What
// Redis does not take is submitted again, under the same id.
func (x *torture) feed() {
	atOnce, upTo := min(40, max(10, len(x.requests)/12)), len(x.requests)
	if x.count.failovers == 0 {
		upTo -= min(burst, upTo/4)
	}
	for x.submitted < upTo && x.submitted-x.ended() < atOnce {
		if !x.trySubmit(x.requests[x.submitted]) {
			return
		}
		x.submitted++
	}
}

func (x *torture) trySubmit(r tasks.Request) bool {
	ctx, cancel := context.WithTimeout(x.t.Context(), 5*time.Second)
	defer cancel()
	_, err := x.client.Submit(ctx, r)
	return err == nil
}

// ended counts the jobs that were seen to have ended.
func (x *torture) ended() (n int) {
	for _, state := range x.state {
		if state.Ended() {
			n++
		}
	}
	return n
}

func (x *torture) wanted(id string) tasks.State { return cmp.Or(x.fate[id], tasks.Done) }

func (x *torture) summary() {
	states := map[tasks.State]int{}
	for _, state := range x.state {
		states[state]++
	}
	c, api := x.count, x.fake.Totals()
	x.t.Logf("jobs %d, states %v, creates %d, faults %d, lost %d, resolved %d (%d bought again), retried %d, kills %d, freezes %d, terminations %d, redis restarts %d, failovers %d, deletes %d, violations %d, leftovers %d",
		len(x.requests), states, api.Creates, c.faults, c.lost, c.resolved, c.recreated, c.retried, c.kills, c.freezes, c.terminations, c.restarts, c.failovers, api.Deletes, api.Violations, len(x.leftovers()))
}
