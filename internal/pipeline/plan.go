package pipeline

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// The plan of polls, in parts of an operation's typical render time: the first poll when most
// renders are about to be ready, the next ones close together, then further and further apart.
// A stuck job is asked rarely, but for as long as it lives.
const (
	firstPoll   = 0.6
	secondPoll  = 0.1
	growth      = 1.4
	mostOften   = 2 * time.Second // the API's own advice for its fastest operations
	leastOften  = 5 * time.Minute
	jitterShare = 0.2 // so that a batch does not poll in step
)

// plan returns how long the next task of a job is to be delayed: a poll by the plan, everything
// else not at all.
func (p *Pipeline) plan(job *tasks.Job) time.Duration {
	if job.State != tasks.Rendering {
		return 0
	}
	if p.set.PollInterval > 0 {
		return p.set.PollInterval
	}
	op, _ := operations.Lookup(job.Operation)
	return pollDelay(op.Typical, job.ID, job.Polls)
}

// pollDelay returns the time before poll n of a job, from 1.
func pollDelay(typical time.Duration, job string, n int) time.Duration {
	share := firstPoll
	if n > 1 {
		share = secondPoll * math.Pow(growth, float64(min(n, 100)-2))
	}
	delay := time.Duration(min(share*float64(typical), float64(leastOften)))
	return jitter(max(delay, mostOften), job, n)
}

// jitter lengthens a delay by up to a fifth, the same for the same step of the same job.
func jitter(d time.Duration, job string, n int) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(job + ":" + strconv.Itoa(n)))
	return d + time.Duration(float64(d)*jitterShare*float64(h.Sum32())/math.MaxUint32)
}
