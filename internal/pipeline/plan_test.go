package pipeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/pace"
	"github.com/seed-290c2414/hourglass/tasks"
)

// byPlan is a pipeline that polls by its plan, and a job that was bought at noon.
func byPlan(now time.Time, operation, id string) (*Pipeline, *tasks.Job) {
	p := at(now)
	p.set.PollInterval = 0
	job := rendering()
	job.ID, job.Operation, job.Polls, job.Attempts = id, operation, 1, []tasks.Attempt{{Token: "a", At: noon, Outcome: tasks.Charged}}
	return p, job
}

// TestPlanOfAStuckRender: it is asked after ever more rarely, never too often, and for as long as it lives.
func TestPlanOfAStuckRender(t *testing.T) {
	t.Parallel()
	now := noon
	polls := 0
	for ; now.Before(noon.Add(24 * time.Hour)); polls++ {
		p, job := byPlan(now, "face-swap", "j1")
		job.Polls = polls + 1
		d := p.plan(job)
		if polls == 0 && (d < 20*time.Second || d > 90*time.Second) {
			t.Errorf("first poll after %v, want about when renders of 96 s get ready", d)
		}
		if d < 2*time.Second || d > 10*time.Minute {
			t.Fatalf("poll %d after %v", polls, d)
		}
		now = now.Add(d)
	}
	if polls < 24*6 || polls > 600 {
		t.Errorf("%d polls in a day", polls)
	}
}

// TestBatchDoesNotPollInStep: ten thousand jobs that were bought in the same second are not polled in one.
func TestBatchDoesNotPollInStep(t *testing.T) {
	t.Parallel()
	const jobs = 10_000
	inSecond := map[time.Duration]int{}
	for i := range jobs {
		p, job := byPlan(noon, "video-to-video", fmt.Sprint("job-", i))
		inSecond[p.plan(job).Truncate(time.Second)]++
	}
	for second, n := range inSecond {
		if n > jobs/8 {
			t.Errorf("%d of %d jobs are polled in second %v", n, jobs, second)
		}
	}
}

// TestPlanWhileQueued: a render that has not begun has all of its time before it.
func TestPlanWhileQueued(t *testing.T) {
	t.Parallel()
	now := noon.Add(2 * time.Minute)
	p, job := byPlan(now, "face-swap", "j1")
	job.RemoteStatus = "rendering"
	soon := p.plan(job)
	job.RemoteStatus, job.QueuedAt = "queued", &now
	late := p.plan(job)
	if soon > 8*time.Second || late < 20*time.Second {
		t.Errorf("next poll after %v if it renders, %v if it is queued; want much later", soon, late)
	}
	began := noon.Add(-3 * time.Hour)
	job.Attempts[0].At = began
	if d := p.plan(job); d != queuedMost {
		t.Errorf("queued for three hours: polled again after %v, want %v", d, queuedMost)
	}
	if eta := p.eta(job); eta != nil {
		t.Errorf("it stands in a queue, and is expected at %v", eta)
	}
}

// TestETA: there is one while a job renders; it grows when the render is late.
func TestETA(t *testing.T) {
	t.Parallel()
	p, job := byPlan(noon, "face-swap", "j1")
	left := p.eta(job).Sub(noon)
	if left < 60*time.Second || left > 150*time.Second {
		t.Errorf("a render that takes 96 s: %v left at its beginning", left)
	}
	p, _ = byPlan(noon.Add(5*time.Minute), "face-swap", "j1")
	if late := p.eta(job).Sub(noon); late < 5*time.Minute {
		t.Errorf("still rendering after 5 minutes: expected at %v", late)
	}
	job.State = tasks.Storing
	if eta := p.eta(job); eta != nil {
		t.Errorf("expected at %v, though it is ready", eta)
	}
}

// TestPlansFollowWhatIsSeen: what the fleet has learnt moves the polls, and webhooks make them rare.
func TestPlansFollowWhatIsSeen(t *testing.T) {
	t.Parallel()
	var c paces
	before := c.of("face-swap").Next(0)
	var slow pace.Picture
	plan := c.of("face-swap")
	for range 100 {
		slow.Add(plan.Parts(10*time.Minute, 10*time.Minute))
	}
	c.take(map[string]pace.Picture{"face-swap": slow}, nil)
	learnt := c.of("face-swap").Next(0)
	if learnt < 3*before {
		t.Errorf("first poll after %v, and after %v when renders take 10 minutes", before, learnt)
	}
	c.take(map[string]pace.Picture{"face-swap": slow}, map[operations.Kind]pace.Webhooks{operations.Image: {Ended: 60, Heard: 60}})
	if other := c.of("face-swap").Next(0); other != learnt {
		t.Errorf("first poll after %v, and after %v when webhooks tell of images", learnt, other)
	}
	for heard := 1.0; heard <= 60; heard++ { // slowly
		c.take(map[string]pace.Picture{"face-swap": slow}, map[operations.Kind]pace.Webhooks{operations.Video: {Ended: 60, Heard: heard}})
		c.of("face-swap")
	}
	if told := c.of("face-swap").Next(0); told <= learnt {
		t.Errorf("first poll after %v, and after %v when webhooks tell", learnt, told)
	}
}

// TestPlanUntilGivenUp: a job with a short give-up time is asked after when it is given up, and not long after.
func TestPlanUntilGivenUp(t *testing.T) {
	t.Parallel()
	p, job := byPlan(noon, "video-to-video", "j1")
	if d := p.plan(job); d < 2*time.Minute {
		t.Fatalf("first poll after %v: the test says nothing", d)
	}
	job.Options.GiveUp = tasks.Duration(time.Minute)
	if d := p.plan(job); d < time.Minute || d > time.Minute+2*time.Second {
		t.Errorf("given up after a minute, and polled after %v", d)
	}
}

// TestMissingIsAskedAgainSoon: a project that is missing is asked after so often that it can be believed to be gone,
// however rarely its renders are.
func TestMissingIsAskedAgainSoon(t *testing.T) {
	t.Parallel()
	p, job := byPlan(noon, "video-to-video", "j1")
	if out := p.pollMissing(job); out.in > believedAfter/4 {
		t.Errorf("asked again after %v, and believed to be gone after %v", out.in, believedAfter)
	}
}
