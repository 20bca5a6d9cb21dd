//go:build torture

package e2e

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// look asks how every job is doing that was not seen to have ended. A job that the failover has
// forgotten is submitted again, as its caller would.
func (x *torture) look() {
	for _, r := range x.requests[:x.submitted] {
		if x.state[r.ID].Ended() {
			continue
		}
		ctx, cancel := context.WithTimeout(x.t.Context(), 5*time.Second)
		job, err := x.client.Job(ctx, r.ID)
		cancel()
		switch {
		case errors.Is(err, tasks.ErrNotFound) && x.count.failovers > 0:
			x.trySubmit(r)
		case errors.Is(err, tasks.ErrNotFound):
			x.t.Fatalf("job %s is lost", r.ID)
		case err != nil:
			return // Redis is away; the next look comes soon
		default:
			x.state[r.ID] = job.State
		}
		if err == nil && job.State == tasks.Failed && x.wanted(r.ID) != tasks.Failed && x.retries[r.ID] < 2 {
			x.retries[r.ID]++
			x.t.Errorf("job %s has failed, and is retried: %+v\n%s", r.ID, job.Error, x.story(r.ID))
			if _, stderr, code := x.enqueue("retry", r.ID); code != 0 {
				x.t.Logf("enqueue retry %s: %s", r.ID, stderr)
			}
			x.state[r.ID] = tasks.Pending
			x.count.retried++
		}
	}
}

// patience is how long a person looks before deciding: what is on its way may still arrive.
const patience = 3 * time.Second

// decide does what a person does about jobs of which nobody knows whether they were charged.
func (x *torture) decide() {
	for _, r := range x.requests[:x.submitted] {
		if x.state[r.ID] != tasks.Unknown {
			delete(x.parked, r.ID)
			continue
		}
		if since, seen := x.parked[r.ID]; !seen {
			x.parked[r.ID] = time.Now()
			x.count.lost++
		} else if time.Since(since) > patience {
			x.resolve(r.ID)
		}
	}
}

func (x *torture) resolve(id string) {
	ctx, cancel := context.WithTimeout(x.t.Context(), 5*time.Second)
	defer cancel()
	job, err := x.client.Job(ctx, id)
	if err != nil || job.State != tasks.Unknown {
		return
	}
	decision := []string{"--recreate"}
	for _, p := range x.fake.Projects() {
		known := p.ID == job.ProjectID || slices.Contains(job.Orphans, p.ID) || slices.Contains(job.Earlier, p.ID)
		if !strings.Contains(p.Name, "["+id+"~") || known {
			continue
		}
		decision = []string{"--project", p.ID}
		if p.Deleted { // copied, deleted, and forgotten by a failover
			decision = append(decision, "--force")
		}
	}
	if _, stderr, code := x.enqueue(append([]string{"resolve", id}, decision...)...); code != 0 {
		x.t.Logf("enqueue resolve %s %v: exit %d, %s", id, decision, code, stderr)
		return
	}
	x.state[id] = tasks.Pending
	x.count.resolved++
	if decision[0] == "--recreate" {
		x.count.recreated++
		x.boughtAgain[id]++
	}
}
