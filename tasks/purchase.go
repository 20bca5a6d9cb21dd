package tasks

import (
	"fmt"
	"slices"
	"time"
)

// An Attempt is one try to buy the project of a job.
type Attempt struct {
	// Token is random; it is part of the project's name. It is empty in an attempt that the record has
	// forgotten, since Redis was restored from a backup.
	Token   string    `json:"token"`
	At      time.Time `json:"at"` // when the mark was set
	Outcome Outcome   `json:"outcome,omitempty"`
}

// An Outcome is what became of an attempt; the zero Outcome is not known.
type Outcome string

// The outcomes of an attempt.
const (
	Charged    Outcome = "charged"     // the API answered with a project
	NotCharged Outcome = "not_charged" // provably nothing was bought
	Abandoned  Outcome = "abandoned"   // not known, and a person took the risk of buying again
)

// Mark returns the attempt whose outcome is to be known before anything else is bought, or nil. A job
// that has its project needs nothing bought, whatever became of its other attempts.
func (j *Job) Mark() *Attempt {
	if j.ProjectID != "" {
		return nil
	}
	return j.open()
}

// open returns the last attempt, if its outcome is not known.
func (j *Job) open() *Attempt {
	if n := len(j.Attempts); n > 0 && j.Attempts[n-1].Outcome == "" {
		return &j.Attempts[n-1]
	}
	return nil
}

// Tag is what the name of a project ends in at Magic Hour, so that people and webhooks find the
// purchase that it came from.
func Tag(job, token string) string { return "[" + job + "~" + token + "]" }

// nameOf says how the name of a project is recognized that an attempt has made.
func (j *Job) nameOf(a *Attempt) string {
	if a == nil || a.Token == "" {
		return fmt.Sprintf("whose name holds %q", "["+j.ID+"~")
	}
	return fmt.Sprintf("whose name ends in %q", Tag(j.ID, a.Token))
}

// Settle notes the outcome of the attempt with this token. A project that was seen is a fact: no later
// answer can take it back.
func (j *Job) Settle(token string, o Outcome) {
	for i := range j.Attempts {
		if j.Attempts[i].Token == token && j.Attempts[i].Outcome != Charged {
			j.Attempts[i].Outcome = o
		}
	}
}

// Attach records that a project was bought by the attempt with this token, however late that
// becomes known. It saves a purchase where the job has none yet, also one that failed meanwhile, which
// Retry then puts back on the road with it; a second project is listed and never followed in silence.
func (j *Job) Attach(token, project string, credits int, at time.Time) {
	j.Settle(token, Charged)
	if j.ProjectID == project || slices.Contains(j.Orphans, project) || slices.Contains(j.Earlier, project) {
		return
	}
	if j.ProjectID != "" || j.State.Ended() && j.State != Failed {
		j.Orphans = append(j.Orphans, project)
		j.warn(fmt.Sprintf("project %s was bought for this job too and is not followed", project))
		return
	}
	j.ProjectID = project
	j.ProjectAt = &at
	j.CreditsCharged = credits
	if j.State == Failed {
		j.warn(fmt.Sprintf("project %s was bought for this job, as became known after it had failed; enqueue retry %s follows it", project, j.ID))
		return
	}
	if j.State != Creating {
		// Parked or given back meanwhile: tasks of the old epoch may hold the ids.
		j.Epoch++
	}
	j.State = Rendering
	j.Error, j.Hold = nil, nil
	j.Polls = 1
}

// Park leaves to a person, or to a webhook, what nobody else can tell: whether the job was charged.
func (j *Job) Park(code, why string) {
	j.State, j.Hold = Unknown, nil
	j.Error = &Error{
		Stage: string(StageCreate), Code: code, Message: why,
		Hint: fmt.Sprintf("look in the Magic Hour library for a project %s. If it is there: enqueue resolve %s --project ITS_ID. If it is not: enqueue resolve %s --recreate buys it, --fail gives up", j.nameOf(j.Mark()), j.ID, j.ID),
	}
}

// UnknownOutcome is the code of a job whose purchase may or may not have been charged.
const UnknownOutcome = "unknown_outcome"

func (j *Job) warn(text string) {
	if !slices.Contains(j.Warnings, text) {
		j.Warnings = append(j.Warnings, text)
	}
}
