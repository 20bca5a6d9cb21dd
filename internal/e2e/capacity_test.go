package e2e

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// TestRedisPerJob measures what docs/scaling.md reckons with: the memory of Redis that a job takes while it
// renders and when it is done, and the time of Redis that a poll takes. HOURGLASS_CAPACITY_JOBS=10000 gives the
// figures that stand there; few give them roughly.
func TestRedisPerJob(t *testing.T) {
	t.Parallel()
	jobs := 600
	if text := os.Getenv("HOURGLASS_CAPACITY_JOBS"); text != "" {
		var err error
		if jobs, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	f := newFleet(t)
	f.put("/_fake/behavior", `{"render":"10ms","output_size":1000}`)
	f.startWorker("HOURGLASS_POLL_INTERVAL="+strconv.Itoa(max(2, jobs/400))+"s", "HOURGLASS_CREATE_CONCURRENCY=32")
	const first = 99 // what a fleet needs that has few jobs
	done := jobs / 5
	f.batch(first)
	f.reach(tasks.Done, first)
	idle := f.redisTime()
	<-time.After(3 * time.Second) // a stretch of time with nothing in it
	idle = (f.redisTime() - idle) / 3
	before := f.dataset()
	f.batchFrom(first, first+done)
	f.reach(tasks.Done, first+done)
	afterDone := f.dataset()
	f.put("/_fake/behavior", `{"render":"1h"}`)
	f.batchFrom(first+done, first+done+jobs)
	f.reach(tasks.Rendering, jobs)
	afterRendering := f.dataset()

	began, cpu, polls := time.Now(), f.redisTime(), f.totals().Polls
	f.eventually("many have been polled", func() bool { return f.totals().Polls-polls > jobs/4 })
	asked := f.totals().Polls - polls
	took := time.Since(began)
	perPoll := (f.redisTime() - cpu - time.Duration(took.Seconds()*float64(idle))) / time.Duration(asked)
	perDone, perRendering := (afterDone-before)/int64(done), (afterRendering-afterDone)/int64(jobs)
	t.Logf("%d jobs: %d B of Redis for one that renders, %d B for one that is done; %v of Redis for a poll, at %.0f a second, and %v a second for a worker that has nothing to do",
		jobs, perRendering, perDone, perPoll.Round(time.Microsecond), float64(asked)/took.Seconds(), idle.Round(100*time.Microsecond))
	if perRendering > 6000 || perDone > 12000 {
		t.Error("docs/scaling.md reckons with less")
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

// dataset is what Redis uses for its data.
func (f *fleet) dataset() int64 { return int64(f.info("memory", `used_memory_dataset:(\d+)`)) }

// redisTime is the time of the processor that Redis has taken.
func (f *fleet) redisTime() time.Duration {
	seconds := f.info("cpu", `used_cpu_user:([\d.]+)`) + f.info("cpu", `used_cpu_sys:([\d.]+)`)
	return time.Duration(seconds * float64(time.Second))
}

func (f *fleet) info(section, pattern string) float64 {
	f.t.Helper()
	text, err := f.rdb.Info(f.t.Context(), section).Result()
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
