package pipeline

import (
	"fmt"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// onError decides what an error of a stage means for the job: where it stays, and what the
// queue is told.
func (p *Pipeline) onError(stage tasks.Stage, v verdict, retried int) decision {
	return func(job *tasks.Job) outcome { return p.afterError(job, stage, v, retried) }
}

func (p *Pipeline) afterError(job *tasks.Job, stage tasks.Stage, v verdict, retried int) outcome {
	if ended, out := p.giveUp(job, stage, v, retried); ended {
		return out
	}
	p.setHold(job, p.hold(job.Hold, v))
	return outcome{err: &setback{class: v.class, code: v.code, after: v.after, text: withHint(v.message, v.hint)}}
}

// setHold says why a job waits, or that it does not. When what a person had to mend is out of its way, or
// the window has let it in, its age counts from then: the days that it was held are not its own.
func (p *Pipeline) setHold(job *tasks.Job, h *tasks.Hold) {
	if notItsOwn(job.Hold) && !notItsOwn(h) {
		at := p.now().UTC()
		job.FreeSince = &at
	}
	job.Hold = h
}

// hold says why a job waits, and since when: since the first of several equal verdicts.
func (p *Pipeline) hold(before *tasks.Hold, v verdict) *tasks.Hold {
	if v.class == transient {
		v.code = codeTrouble
	}
	switch {
	case v.class == again || v.class == permanent:
		return nil
	case before != nil && before.Code == v.code:
		return before
	}
	return &tasks.Hold{Code: v.code, Message: withHint(v.message, v.hint), Since: p.now().UTC()}
}

// waitsForPerson reports whether a job is held until somebody does something, rather than until
// something passes.
func waitsForPerson(h *tasks.Hold) bool {
	return notItsOwn(h) && h.Code != codeWindow
}

// notItsOwn reports whether the time that a job waits for this is not held against it.
func notItsOwn(h *tasks.Hold) bool {
	return h != nil && h.Code != codeThrottled && h.Code != codeTrouble
}

// giveUp ends a job that an error leaves no way on: for good, or by age, never by the number of attempts: an
// outage of whatever length before that is no fault of the job's. A cleanup never fails a job, whose files are safe; a held job waits for a person; and no
// job fails while nobody knows whether it was charged.
func (p *Pipeline) giveUp(job *tasks.Job, stage tasks.Stage, v verdict, retried int) (bool, outcome) {
	if stage == tasks.StageCleanup {
		return p.giveUpCleanup(job, v)
	}
	switch {
	case v.ambiguous && p.tooOld(job):
		v.code = codeRefused
	case job.Mark() != nil || v.class == held || waitsForPerson(job.Hold) && v.class != permanent:
		return false, outcome{}
	case v.class == permanent:
	case p.tooOld(job) && (retried+1 >= leastAttempts || p.longThrottled(job, v)):
		v.code, v.message = codeGaveUp, fmt.Sprintf("still unfinished after %s: %s", p.giveUpAge(job), v.message)
		v.hint = hintGaveUp(job)
	default:
		return false, outcome{}
	}
	return true, fail(job, stage, v)
}

// longThrottled reports whether a job has been throttled for so long that its age may end it. Being throttled
// costs no attempts, by which other errors tell a fleet that was down for a day from one that fails.
func (p *Pipeline) longThrottled(job *tasks.Job, v verdict) bool {
	const long = time.Hour
	return v.class == throttled && job.Hold != nil && job.Hold.Code == codeThrottled && p.now().Sub(job.Hold.Since) > long
}

// cleanupPatience is for how long a failing delete is tried before the job counts as done.
const cleanupPatience = 24 * time.Hour

func (p *Pipeline) giveUpCleanup(job *tasks.Job, v verdict) (bool, outcome) {
	if v.class == held || job.StoredAt == nil || p.now().Sub(*job.StoredAt) < cleanupPatience {
		return false, outcome{}
	}
	return true, finish(job, tasks.RemotePending, v.message)
}

// tooOld reports whether a job has reached its give-up time. What is paid for counts from the
// purchase, and from when it was last free to go on: what it waited for a person is not held against it.
func (p *Pipeline) tooOld(job *tasks.Job) bool { return p.now().After(p.giveUpAt(job)) }

// giveUpAt is when a job reaches its give-up time.
func (p *Pipeline) giveUpAt(job *tasks.Job) time.Time {
	since := job.CreatedAt
	for _, later := range []*time.Time{job.ProjectAt, job.FreeSince} {
		if later != nil && later.After(since) {
			since = *later
		}
	}
	return since.Add(p.giveUpAge(job))
}

// giveUpAge is the age at which a job fails that is unfinished.
func (p *Pipeline) giveUpAge(job *tasks.Job) time.Duration {
	if own := time.Duration(job.Options.GiveUp); own > 0 {
		return own
	}
	return p.set.GiveUp
}

func hintGaveUp(job *tasks.Job) string {
	if job.ProjectID == "" {
		return "nothing was charged; mend what is in the way, then enqueue retry " + job.ID
	}
	return fmt.Sprintf("mend what is in the way, then enqueue retry %s; the render may still be at Magic Hour as project %s", job.ID, job.ProjectID)
}

// fail ends a job as failed and archives its task with the reason.
func fail(job *tasks.Job, stage tasks.Stage, v verdict) outcome {
	job.State, job.Hold = tasks.Failed, nil
	job.Error = &tasks.Error{Stage: string(stage), Code: v.code, Message: v.message, Hint: v.hint}
	return outcome{err: archived(reasonOf(job.Error))}
}

// finish ends a job whose files are stored and proved.
func finish(job *tasks.Job, remote tasks.Remote, reason string) outcome {
	job.State, job.Hold = tasks.Done, nil
	job.Remote = &remote
	job.RemoteReason = nil
	if reason != "" {
		job.RemoteReason = &reason
	}
	return outcome{}
}
