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

// Mark returns the attempt whose outcome is not known, or nil.
func (j *Job) Mark() *Attempt {
	if n := len(j.Attempts); n > 0 && j.Attempts[n-1].Outcome == "" {
		return &j.Attempts[n-1]
	}
	return nil
}

// Tag is what the name of a project ends in at Magic Hour, so that people and webhooks find the
// purchase that it came from.
func Tag(job, token string) string { return "[" + job + "~" + token + "]" }

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
// becomes known. It saves a purchase where the job has none yet; a second project is listed and never
// followed in silence.
func (j *Job) Attach(token, project string, credits int, at time.Time) {
	j.Settle(token, Charged)
	if j.ProjectID == project || slices.Contains(j.Orphans, project) || slices.Contains(j.Earlier, project) {
		return
	}
	if j.ProjectID != "" || j.State.Ended() {
		j.Orphans = append(j.Orphans, project)
		j.warn(fmt.Sprintf("project %s was bought for this job too and is not followed", project))
		return
	}
	if j.State != Creating {
		// Parked or given back meanwhile: tasks of the old epoch may hold the ids.
		j.Epoch++
	}
	j.State = Rendering
	j.Error, j.Hold = nil, nil
	j.ProjectID = project
	j.ProjectAt = &at
	j.CreditsCharged = credits
	j.Polls = 1
}

// Park leaves to a person, or to a webhook, what nobody else can tell: whether the job was charged.
func (j *Job) Park(code, why string) {
	token := ""
	if mark := j.Mark(); mark != nil {
		token = mark.Token
	}
	named := fmt.Sprintf("ends in %q", Tag(j.ID, token))
	if token == "" {
		named = fmt.Sprintf("holds %q", "["+j.ID+"~")
	}
	j.State, j.Hold = Unknown, nil
	j.Error = &Error{
		Stage: string(StageCreate), Code: code, Message: why,
		Hint: fmt.Sprintf("look in the Magic Hour library for a project whose name %s. If it is there: enqueue resolve %s --project ITS_ID. If it is not: enqueue resolve %s --recreate buys it, --fail gives up", named, j.ID, j.ID),
	}
}

// UnknownOutcome is the code of a job whose purchase may or may not have been charged.
const UnknownOutcome = "unknown_outcome"

func (j *Job) warn(text string) {
	if !slices.Contains(j.Warnings, text) {
		j.Warnings = append(j.Warnings, text)
	}
}
