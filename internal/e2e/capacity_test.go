//go:build torture

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestRedisPerJob measures what docs/scaling.md reckons with: the memory of Redis that a job takes while it
// renders and when it is done, and the time of Redis that a poll takes, in a cluster by node.
// HOURGLASS_CAPACITY_JOBS=10000 gives the figures that stand there; few give them roughly.
func TestRedisPerJob(t *testing.T) {
	t.Parallel()
	t.Run("one Redis", func(t *testing.T) {
		t.Parallel()
		addr := testservers.Redis(t)
		f := &measured{fleet: fleetAt(t, addr)}
		f.watch("Redis", addr)
		f.perJob(capacityJobs(t))
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := testservers.StartCluster(t, testservers.Door{})
		f := &measured{fleet: fleetOnAny(t, c.URL(), testservers.Door{})}
		polls, fleet := c.Holder(t, "asynq:{hourglass-poll}:pending").Addr, c.Holder(t, "hourglass:{fleet}:deadlines").Addr
		f.watch("the node with the polls", polls)
		f.watch("the node with what the fleet shares", fleet)
		for i := 0; len(f.nodes) < 3; i++ {
			if addr := c.Holder(t, strconv.Itoa(i)).Addr; addr != polls && addr != fleet {
				f.watch("the node with neither", addr)
			}
		}
		f.perJob(capacityJobs(t))
	})
}

func capacityJobs(t *testing.T) int {
	t.Helper()
	text := os.Getenv("HOURGLASS_CAPACITY_JOBS")
	if text == "" {
		return 600
	}
	jobs, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

// A measured fleet knows what each server of its Redis takes.
type measured struct {
	*fleet
	names []string
	nodes []*redis.Client
}

func (f *measured) watch(name, addr string) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	f.t.Cleanup(func() { _ = rdb.Close() })
	f.names, f.nodes = append(f.names, name), append(f.nodes, rdb)
}

func (f *measured) perJob(jobs int) {
	f.t.Helper()
	f.startFake()
	f.put("/_fake/behavior", `{"render":"10ms","output_size":1000}`)
	f.startWorker("HOURGLASS_POLL_INTERVAL="+strconv.Itoa(max(2, jobs/400))+"s", "HOURGLASS_CREATE_CONCURRENCY=32")
	const first = 99 // what a fleet needs that has few jobs
	done := jobs / 5
	f.batch(first)
	f.reach(tasks.Done, first)
	idleFrom := f.times()
	<-time.After(3 * time.Second) // a stretch of time with nothing in it
	idleTo := f.times()
	before, startedAt := f.dataset(), time.Now()
	f.batchFrom(first, first+done)
	f.reach(tasks.Done, first+done)
	afterDone, doneTimes, doneIn := f.dataset(), f.times(), time.Since(startedAt)
	f.put("/_fake/behavior", `{"render":"1h"}`)
	f.batchFrom(first+done, first+done+jobs)
	f.reach(tasks.Rendering, jobs)
	perDone, perRendering := (afterDone-before)/done, (f.dataset()-afterDone)/jobs

	began, from, polls := time.Now(), f.times(), f.totals().Polls
	f.eventually("many have been polled", func() bool { return f.totals().Polls-polls > jobs/4 })
	asked, to, took := f.totals().Polls-polls, f.times(), time.Since(began)
	var nodes strings.Builder
	for i, name := range f.names {
		idle := (idleTo[i] - idleFrom[i]) / 3
		each := func(busy, while time.Duration, n int) time.Duration {
			return ((busy - time.Duration(while.Seconds()*float64(idle))) / time.Duration(n)).Round(time.Microsecond)
		}
		fmt.Fprintf(&nodes, "; %s: %v a job with one poll, %v a further poll, %v a second without anything to do", name,
			each(doneTimes[i]-idleTo[i], doneIn, done), each(to[i]-from[i], took, asked), idle.Round(100*time.Microsecond))
	}
	f.t.Logf("%d jobs: %d B for one that renders, %d B for one that is done; %.0f polls a second%s", jobs, perRendering, perDone, float64(asked)/took.Seconds(), &nodes)
	if perRendering > 6000 || perDone > 12000 {
		f.t.Error("docs/scaling.md reckons with less")
	}
}

// reach waits until so many jobs are in a state, for as long as that takes.
func (f *fleet) reach(state tasks.State, jobs int) {
	f.t.Helper()
	for limit := time.Now().Add(time.Minute + time.Duration(jobs)*200*time.Millisecond); ; {
		n, err := f.rdb.ZCard(f.t.Context(), "hourglass:{fleet}:jobs:"+string(state)).Result()
		switch {
		case err != nil:
			f.t.Fatal(err)
		case n >= int64(jobs):
			return
		case time.Now().After(limit):
			f.t.Fatalf("%d of %d jobs are %s", n, jobs, state)
		}
		<-time.After(200 * time.Millisecond)
	}
}

// dataset is the memory that all servers use for their data.
func (f *measured) dataset() (bytes int) {
	f.t.Helper()
	for _, node := range f.nodes {
		bytes += int(f.info(node, "memory", `used_memory_dataset:(\d+)`))
	}
	return bytes
}

// times are the processor's that each server has taken.
func (f *measured) times() (all []time.Duration) {
	f.t.Helper()
	for _, node := range f.nodes {
		seconds := f.info(node, "cpu", `used_cpu_user:([\d.]+)`) + f.info(node, "cpu", `used_cpu_sys:([\d.]+)`)
		all = append(all, time.Duration(seconds*float64(time.Second)))
	}
	return all
}

func (f *fleet) info(rdb *redis.Client, section, pattern string) float64 {
	f.t.Helper()
	text, err := rdb.Info(f.t.Context(), section).Result()
	if err != nil {
		f.t.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if match == nil {
		f.t.Fatalf("no %s in %s", pattern, text)
	}
	n, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}
