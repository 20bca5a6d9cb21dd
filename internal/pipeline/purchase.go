package pipeline

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// bought records the answer to a purchase, however late it comes. It saves a purchase where the
// job has none yet; a second project is listed and never followed in silence.
func bought(job *tasks.Job, token string, created magichour.Created, at time.Time) {
	settle(job, token, tasks.Charged)
	if job.ProjectID == created.ID || slices.Contains(job.Orphans, created.ID) {
		return
	}
	if job.ProjectID != "" || job.State.Ended() {
		job.Orphans = append(job.Orphans, created.ID)
		job.Warnings = append(job.Warnings, fmt.Sprintf("project %s was bought for this job too and is not followed", created.ID))
		return
	}
	if job.State != tasks.Creating {
		// Parked or given back meanwhile: tasks of the old epoch may hold the ids.
		job.Epoch++
	}
	job.State = tasks.Rendering
	job.Error, job.Hold = nil, nil
	job.ProjectID = created.ID
	job.ProjectAt = &at
	job.CreditsCharged = int(created.CreditsCharged)
	job.Polls = 1
}

// settle notes the outcome of the attempt with this token.
func settle(job *tasks.Job, token string, o tasks.Outcome) {
	for i := range job.Attempts {
		if job.Attempts[i].Token == token {
			job.Attempts[i].Outcome = o
		}
	}
}

// returned decides after a purchase that certainly was not made: the mark is given back by the
// only one who may do that, its holder.
func (p *Pipeline) returned(token string, v verdict, retried int) decision {
	return func(job *tasks.Job) outcome {
		last := len(job.Attempts) - 1
		mine := last >= 0 && job.Attempts[last].Token == token
		settle(job, token, tasks.NotCharged)
		switch {
		case !mine:
			return outcome{}
		case job.State == tasks.Creating, job.State == tasks.Pending: // pending: given back, but the answer of Redis was lost
			job.State = tasks.Pending
			return p.afterError(job, tasks.StageCreate, v, retried)
		case job.State == tasks.Unknown:
			// Another worker has parked the job meanwhile, and its task is finished.
			job.State = tasks.Pending
			job.Error = nil
			job.Epoch++
		}
		return outcome{}
	}
}

// parked decides after a purchase of which nobody knows whether it was made. It is acknowledged:
// running the task again would help nothing.
func (p *Pipeline) parked(token, why string) decision {
	return p.parkedAs(token, codeUnknownOutcome, "the project may or may not have been made and charged: "+why)
}

func (p *Pipeline) parkedAs(token, code, why string) decision {
	return func(job *tasks.Job) outcome {
		mark := job.Mark()
		if mark == nil || mark.Token != token || job.State != tasks.Creating && job.State != tasks.Pending {
			return outcome{}
		}
		job.State, job.Hold = tasks.Unknown, nil
		job.Error = &tasks.Error{
			Stage: string(tasks.StageCreate), Code: code,
			Message: why,
			Hint:    fmt.Sprintf("look for a project named %q in the Magic Hour library: if it is there, it was charged, and its files can be fetched by hand; if not, submit the request under a new id", projectName("…", job.ID, token)),
		}
		return outcome{}
	}
}
