package pipeline

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// plan returns how long the next task of a job is to be delayed: a poll by the plan of its operation,
// everything else not at all.
func (p *Pipeline) plan(job *tasks.Job) time.Duration {
	if job.State != tasks.Rendering {
		return 0
	}
	if p.set.PollInterval > 0 {
		return p.set.PollInterval
	}
	now := p.now()
	age := max(now.Sub(began(job)), 0)
	delay := p.paces.of(job.Operation).Spread(age, chance(job.ID, job.Polls)) - age
	if job.RemoteStatus == magichour.StatusQueued {
		delay = max(delay, min(now.Sub(boughtAt(job))/queuedShare, queuedMost))
	}
	// The last poll comes when the job is given up: it may be ready after all.
	return min(delay, max(p.giveUpAt(job).Sub(now)+time.Second, leastBetween(operations.Kind(job.Kind))))
}

// queuedShare: what has stood in the queue for long will stand there for long, and is asked after ever more
// rarely, up to a point: the queue may also begin to move.
const (
	queuedShare = 16
	queuedMost  = 5 * time.Minute
)

// eta is when the render is expected to be ready, by what is known now; nil for a job that is not rendering, or
// that stands in a queue: how long that is nobody tells.
func (p *Pipeline) eta(job *tasks.Job) *time.Time {
	if job.State != tasks.Rendering || job.RemoteStatus == magichour.StatusQueued {
		return nil
	}
	now := p.now()
	age := max(now.Sub(began(job)), 0)
	at := now.Add(p.paces.of(job.Operation).Left(age)).UTC().Truncate(time.Second)
	return &at
}

const jitterShare = 0.2

// jitter lengthens a delay by up to a fifth, the same for the same step of the same job.
func jitter(d time.Duration, job string, n int) time.Duration {
	return d + time.Duration(float64(d)*jitterShare*chance(job, n))
}

// chance is a number from 0 to 1, the same for the same step of the same job.
func chance(job string, n int) float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(job + ":" + strconv.Itoa(n)))
	return float64(h.Sum32()) / math.MaxUint32
}
