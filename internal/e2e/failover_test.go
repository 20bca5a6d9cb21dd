//go:build torture

package e2e

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestFailover kills the primary in the middle of many jobs, and brings it back when a replica has taken its
// place: all jobs end, and none is charged twice. HOURGLASS_FAILOVER_JOBS=200 makes them more.
func TestFailover(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	defer all.Wait()
	for name, key := range map[string]string{ // one that is on the primary
		"sentinels": "",
		"cluster, the node with what the fleet shares": "hourglass:{fleet}:deadlines",
		"cluster, the node with the polls":             "asynq:{hourglass-poll}:scheduled",
	} {
		all.Go(func() { // at once, and not by t.Parallel: they only wait
			t.Run(name, func(t *testing.T) {
				var url string
				var primary *testservers.RedisServer
				if key == "" {
					s := testservers.StartSentinels(t, testservers.Door{})
					url, primary, key = s.URL(), s.Primary, "hourglass:{fleet}:deadlines"
				} else {
					c := testservers.StartCluster(t, testservers.Door{})
					url, primary = c.URL(), c.Holder(t, key)
				}
				fleetOnAny(t, url, testservers.Door{}).failover(primary, key, failoverJobs(t))
			})
		})
	}
}

func failoverJobs(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("HOURGLASS_FAILOVER_JOBS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 40
}

// slowPurchases lets the answer to a create come long after the charge: the failover finds some under way.
const slowPurchases = `{"call":"create","do":"slow","delay":"400ms","after":true,"times":-1}`

func (f *fleet) failover(primary *testservers.RedisServer, key string, jobs int) {
	f.t.Helper()
	f.startFake("--render", "2s")
	f.put("/_fake/behavior", slowCopies)
	f.post("/_fake/faults", slowPurchases)
	for range 2 {
		f.startWorker("HOURGLASS_CREATE_CONCURRENCY=1")
	}
	f.batch(jobs / 2)
	f.eventually("some are being copied", func() bool { return f.standing(tasks.Storing) > 2 })
	f.batch(jobs)
	f.eventually("more are being bought", func() bool { return f.standing(tasks.Creating) > 1 && f.totals().Creates > jobs/2 })
	stood := map[tasks.State]int{}
	for _, state := range []tasks.State{tasks.Pending, tasks.Creating, tasks.Rendering, tasks.Storing, tasks.Cleaning, tasks.Done} {
		stood[state] = f.standing(state)
	}
	primary.Kill()
	began := time.Now()
	f.eventually("another has taken its place", func() bool { return f.rdb.Type(f.t.Context(), key).Err() == nil })
	replaced := time.Since(began)
	primary.Restart() // a purchase waits until there is a replica again
	f.waitThrough(jobs)
	f.t.Logf("killed with %v; replaced %v later; all ended %v later", stood, replaced.Round(time.Second/10), time.Since(began).Round(time.Second))
	f.chargedOnce(jobs)
	f.checkSecrets()
}

// waitThrough waits until all jobs have ended or are parked, and asks again while Redis can't be reached.
func (f *fleet) waitThrough(jobs int) {
	f.t.Helper()
	limit := 5*time.Minute + time.Duration(jobs)*time.Second // a lost task comes back by its deadline
	for began := time.Now(); ; {
		out, stderr, code := f.enqueue(append([]string{"wait", "--timeout", limit.String()}, ids(jobs)...)...)
		switch {
		case code == 75 && time.Since(began) < time.Minute:
			continue
		case code != 0 && code != 3 || strings.Contains(out, "\tfailed\t") || strings.Contains(out, "\tcanceled\t"):
			f.t.Errorf("wait: exit %d: %s\n%s", code, stderr, out)
		}
		return
	}
}

// chargedOnce holds the purchases that the API has seen against the jobs. A job may be parked, if the
// failover forgot what its purchase brought; it has then been bought once, and not twice.
func (f *fleet) chargedOnce(jobs int) {
	f.t.Helper()
	var projects []struct {
		ID, Name string
		Deleted  bool
	}
	f.get(f.api+"/_fake/projects", &projects)
	bought := map[string]int{}
	for _, p := range projects {
		id, _, _ := strings.Cut(p.Name[strings.LastIndex(p.Name, "[")+1:], "~")
		bought[id]++
		if job, err := f.client.Job(f.t.Context(), id); err != nil || p.Deleted != (job.State == tasks.Done) || job.State == tasks.Done && job.ProjectID != p.ID {
			f.t.Errorf("project %s, deleted: %v; its job: %+v, %v", p.ID, p.Deleted, job, err)
		}
	}
	parked := 0
	for _, id := range ids(jobs) {
		job, err := f.client.Job(f.t.Context(), id)
		if err != nil {
			f.t.Fatal(err)
		}
		if job.State == tasks.Unknown {
			parked++
		}
		if bought[id] > 1 || bought[id] == 0 && job.State == tasks.Done {
			f.t.Errorf("%s is %s and was bought %d times", id, job.State, bought[id])
		}
	}
	f.t.Logf("%d jobs, %d projects, %d parked", jobs, len(projects), parked)
	if parked > max(2, jobs/20) {
		f.t.Errorf("%d of %d are parked: a failover may forget the last moment, and no more", parked, jobs)
	}
	if got := f.totals(); got.Violations != 0 || got.Creates != len(projects) {
		f.t.Errorf("the API saw %+v, and has %d projects", got, len(projects))
	}
}
