package pipeline

import (
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// bought records the answer to a purchase, however late it comes.
func bought(job *tasks.Job, token string, created magichour.Created, at time.Time) {
	job.Attach(token, created.ID, int(created.CreditsCharged), at)
}

// returned decides after a purchase that certainly was not made: the mark is given back by the
// only one who may do that, its holder.
func (p *Pipeline) returned(token string, v verdict, retried int) decision {
	return func(job *tasks.Job) outcome {
		last := len(job.Attempts) - 1
		mine := last >= 0 && job.Attempts[last].Token == token && job.Attempts[last].Outcome != tasks.Abandoned
		job.Settle(token, tasks.NotCharged)
		switch {
		case !mine:
			return outcome{}
		case job.State == tasks.Creating, job.State == tasks.Pending: // pending: given back, but the answer of Redis was lost
			job.State = tasks.Pending
			return p.afterError(job, tasks.StageCreate, v, retried)
		case job.State == tasks.Failed: // by this very decision, and the answer of Redis was lost
			return outcome{err: archived(reasonOf(job.Error))}
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
		job.Park(code, why)
		return outcome{}
	}
}
