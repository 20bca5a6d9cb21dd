package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// limitsJobs is how many jobs the tests of limits make: few, unless HOURGLASS_LIMITS_JOBS says another number. With
// 1000 and more, a worker is killed every 15 to 30 s, instead of every 4 to 8.
func limitsJobs(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("HOURGLASS_LIMITS_JOBS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// submitMany submits so many jobs at once: PREFIX-0, PREFIX-1, ...
func (f *fleet) submitMany(prefix string, n int, o tasks.Options) (ids []string) {
	f.t.Helper()
	var submitting sync.WaitGroup
	next := make(chan string)
	for range 16 {
		submitting.Go(func() {
			for id := range next {
				r := request(2)
				r.ID, r.Options = id, o
				if _, err := f.client.Submit(f.t.Context(), r); err != nil {
					f.t.Error(err)
				}
			}
		})
	}
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s-%d", prefix, i))
		next <- ids[i]
	}
	close(next)
	submitting.Wait()
	return ids
}

// bought are the jobs of the projects at the API, in the order in which they were bought, and how many render.
func (f *fleet) bought() (jobs []string, rendering int) {
	f.t.Helper()
	var projects []struct{ Name, Status string }
	f.get(f.api+"/_fake/projects", &projects)
	for _, p := range projects {
		jobs = append(jobs, p.Name[strings.LastIndex(p.Name, "[")+1:strings.LastIndex(p.Name, "~")])
		if p.Status == "queued" || p.Status == "rendering" {
			rendering++
		}
	}
	return jobs, rendering
}

// A look is what the window of a fleet holds at a moment.
type look struct {
	slots, waiting map[string]string
}

func (f *fleet) look() (l look) {
	f.t.Helper()
	tx := f.rdb.TxPipeline()
	slots, waiting := tx.HGetAll(f.t.Context(), "hourglass:{fleet}:window:slots"), tx.HGetAll(f.t.Context(), "hourglass:{fleet}:window:waiting")
	if _, err := tx.Exec(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return look{slots.Val(), waiting.Val()}
}

// holds reports whether all of these jobs have a slot or wait for one.
func (l look) holds(ids []string) bool {
	for _, id := range ids {
		if l.slots[id] == "" && l.waiting[id] == "" {
			return false
		}
	}
	return true
}

// TestTurnsOfAFleet: one tenant's many jobs do not hold up another's few that stand behind them in the queue of creates,
// nor what is urgent: from when those wait for their turn they are created within the next 10 slots.
func TestTurnsOfAFleet(t *testing.T) {
	t.Parallel()
	const renders = 10
	f := newFleet(t, "--render", "4s")
	many := f.submitMany("a", limitsJobs(t, 200), tasks.Options{Tenant: "a"})
	few := f.submitMany("b", 5, tasks.Options{Tenant: "b"})
	few = append(few, f.submitMany("urgent", 3, tasks.Options{Tenant: "a", Priority: tasks.PriorityHigh})...)
	limit := fmt.Sprintf("HOURGLASS_MAX_RENDERS=%d", renders)
	f.startWorker(limit)
	f.startWorker(limit)
	began := time.Now()
	var before []string
	var now look
	f.eventually("those of b and what is urgent wait for their turn", func() bool {
		before, _ = f.bought()
		now = f.look()
		return now.holds(few)
	})
	t.Logf("behind %d jobs, they waited for their turn %s after the workers began; %d of a did", len(many), time.Since(began).Round(time.Millisecond), len(now.waiting)-len(few))
	f.eventually("they are bought", func() bool { jobs, _ := f.bought(); return holdsAll(jobs, few) })
	jobs, _ := f.bought()
	earlier := func(id string) bool { return now.slots[id] != "" || slices.Contains(before, id) }
	jobs, few = slices.DeleteFunc(jobs, earlier), slices.DeleteFunc(few, earlier)
	if turns := jobs[:min(len(jobs), renders)]; !holdsAll(turns, few) {
		t.Errorf("the next that were bought are %v, want %v among them", turns, few)
	}
}

// TestWindowOfAFleet: workers are killed meanwhile, any and at any time. There are never more renders than may be,
// no slot stands empty while a job waits for one, and in the end none is missing.
func TestWindowOfAFleet(t *testing.T) {
	t.Parallel()
	const renders = 10
	f := newFleet(t, "--render", "500ms")
	limit := fmt.Sprintf("HOURGLASS_MAX_RENDERS=%d", renders)
	var workers []*log
	for range 2 {
		worker, _ := f.startWorker(limit)
		workers = append(workers, worker)
	}
	all := f.submitMany("a", limitsJobs(t, 120), tasks.Options{Tenant: "a"})
	f.eventually("some are bought", func() bool { jobs, _ := f.bought(); return len(jobs) > renders })
	between := 4 * time.Second
	if len(all) >= 1000 {
		between = 15 * time.Second
	}
	kills, most, full, next := 0, 0, 0, time.Now()
	f.settleAll(all, func() {
		jobs, n := f.bought()
		most = max(most, n)
		now := f.look()
		full = max(full, len(now.slots))
		if len(now.slots) > renders || len(now.waiting) > 0 && len(now.slots) < renders {
			t.Errorf("%d slots are in use while %d jobs wait, of %d", len(now.slots), len(now.waiting), renders)
		}
		if len(jobs) < len(all)*9/10 && time.Now().After(next) {
			i := rand.IntN(len(workers)) //nolint:gosec // any will do
			workers[i].signal(syscall.SIGKILL)
			workers[i], _ = f.startWorker(limit)
			kills, next = kills+1, time.Now().Add(between+rand.N(between)) //nolint:gosec // at any time
		}
	})
	t.Logf("killed %d workers", kills)
	if most > renders || full < renders || kills == 0 {
		t.Errorf("up to %d projects were rendering at once and %d slots in use, of %d; %d workers were killed", most, full, renders, kills)
	}
	f.eventually("the window is empty", func() bool { now := f.look(); return len(now.slots) == 0 && len(now.waiting) == 0 })
	if got := f.totals(); got.Creates > len(all) || got.Violations != 0 {
		t.Errorf("%d creates for %d jobs, %d violations", got.Creates, len(all), got.Violations)
	}
}

func holdsAll(all, some []string) bool {
	has := map[string]bool{}
	for _, one := range all {
		has[one] = true
	}
	for _, one := range some {
		if !has[one] {
			return false
		}
	}
	return true
}

// settleAll waits until every job has come to its end, or has its files. What is parked, since its worker was killed in the middle of
// the purchase, is given up.
func (f *fleet) settleAll(ids []string, meanwhile func()) {
	f.t.Helper()
	deadline := time.Now().Add(4*time.Minute + time.Duration(len(ids))*time.Second/2)
	for len(ids) > 0 {
		job, err := f.client.Job(f.t.Context(), ids[0])
		switch {
		case err != nil:
			f.t.Fatal(err)
		case job.State == tasks.Unknown:
			if _, err := f.client.Resolve(f.t.Context(), job.ID, tasks.Resolution{Fail: true}); err != nil {
				f.t.Fatal(err)
			}
		case job.State.Ended(), job.State == tasks.Cleaning:
			// One that is cleaning renders no more. If its worker was killed just after the DELETE, it is so for ten
			// minutes, until it is believed that there is no such project.
			ids = ids[1:]
			continue
		case time.Now().After(deadline):
			f.t.Fatalf("%s is still %s, held by %+v, and %d more", job.ID, job.State, job.Hold, len(ids))
		}
		meanwhile()
		<-time.After(50 * time.Millisecond)
	}
}

// TestRateOfAFleet: many jobs at once, of which each wants to be polled more often than the rate allows. No call is
// refused, and the creates have their share.
func TestRateOfAFleet(t *testing.T) {
	t.Parallel()
	const share = 0.2
	n, rate := limitsJobs(t, 250), 50
	if n >= 1000 {
		rate = 100
	}
	f := newFleet(t, "--render", "1h", "--rate", strconv.Itoa(rate), "--rate-burst", strconv.Itoa(rate*3/2))
	limit := fmt.Sprintf("HOURGLASS_API_RATE=%d", rate)
	f.startWorker(limit)
	_, addr := f.startWorker(limit)
	began := time.Now()
	f.submitMany("job", n, tasks.Options{})
	want := time.Duration(float64(n) / (float64(rate) * share) * float64(time.Second))
	most, looks, active, early := 0, 0, 0, 0.0
	for f.totals().Creates < n {
		if time.Since(began) > 2*want+time.Minute {
			t.Fatalf("%d of %d creates in %s, want about %s", f.totals().Creates, n, time.Since(began), want)
		}
		if info, err := f.inspector.GetQueueInfo(tasks.StageCreate.Queue()); err == nil {
			looks, active, most = looks+1, active+info.Active, max(most, info.Active)
		}
		if early == 0 && f.totals().Creates > n/4 {
			early = f.memory(addr)
		}
		<-time.After(100 * time.Millisecond)
	}
	took := time.Since(began)
	got := f.totals()
	if end := f.memory(addr); end > 1.5*early {
		t.Errorf("the worker grew from %.0f to %.0f MiB", early, end)
	}
	t.Logf("%d creates in %s (their share: %s), %d polls, %d calls refused; %.1f creates active at a look, at most %d", n, took, want, got.Polls, got.Throttled, float64(active)/float64(looks), most)
	if took > want*11/10+2*time.Second || got.Throttled != 0 || got.Creates != n {
		t.Errorf("%d creates in %s, want %s; %d calls were refused", got.Creates, took, want, got.Throttled)
	}
}

// memory is what a worker needs, in MiB.
func (f *fleet) memory(addr string) float64 {
	f.t.Helper()
	var text []byte
	f.get(addr+"/metrics", &text)
	_, rest, _ := strings.Cut(string(text), "\nprocess_resident_memory_bytes ")
	number, _, _ := strings.Cut(rest, "\n")
	bytes, err := strconv.ParseFloat(number, 64)
	if err != nil {
		f.t.Fatal(err)
	}
	return bytes / (1 << 20)
}
