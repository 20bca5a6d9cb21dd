package tasks

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrState says that a job does not stand where what was asked for is possible. Nothing was changed.
var ErrState = errors.New("not possible where the job stands")

func refuse(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, a...))
}

// These are the decisions of people about a job, as pure changes of its record. Client makes them on the
// record in Redis, and a worker makes one when an archived task is run again.

// Cancel ends a job that nobody wants any more. The mark of a purchase stays: it may still turn out to
// have been charged.
func (j *Job) Cancel() error {
	switch j.State {
	case Canceled:
		return nil
	case Cleaning:
		return refuse("job %s is stored and proved already; only its original at Magic Hour is still to be deleted", j.ID)
	case Done, Failed:
		return refuse("job %s has ended already: it is %s", j.ID, j.State)
	}
	switch mark := j.Mark(); {
	case mark != nil:
		j.warn(fmt.Sprintf("canceled while nobody knew whether it was charged: a project %s is its own", j.nameOf(mark)))
	case j.ProjectID != "":
		j.warn(fmt.Sprintf("canceled, but project %s goes on at Magic Hour and is charged: its API can't cancel", j.ProjectID))
	}
	j.State, j.Hold, j.Error = Canceled, nil, nil
	return nil
}

// renderFailed is Magic Hour's status of a render that ended in an error.
const renderFailed = "error"

// Retry puts a failed job back on the road at the stage that failed, with the project that it has paid
// for. One that failed while nobody knew whether it was charged becomes Unknown: it is never bought
// again by that. Recreate instead buys a new project, whatever was bought before.
func (j *Job) Retry(recreate bool, at time.Time) error {
	switch {
	case j.State == Unknown:
		return refuse("job %s is parked, since nobody knows whether it was charged: see enqueue resolve", j.ID)
	case j.State == Canceled:
		return refuse("job %s was canceled: submit the request under another id", j.ID)
	case j.State != Failed:
		return refuse("job %s has not failed: it is %s", j.ID, j.State)
	case recreate:
		j.recreate(at)
		return nil
	case j.RemoteStatus == renderFailed && j.ProjectID != "":
		return refuse("the render of job %s has failed for good (%s) and was refunded; retry --recreate buys a new one", j.ID, j.Error.Code)
	}
	stage := Stage(j.Error.Stage)
	j.reopen(at)
	switch {
	case j.Mark() != nil:
		j.Park(UnknownOutcome, "it failed while nobody knew whether its project had been made and charged")
	case j.ProjectID == "":
		j.State, j.Inputs = Pending, nil // it is bought with the objects as they are by then
	case stage == StageDownload:
		j.State = Storing
	default:
		j.State = Rendering
		j.Polls++
	}
	return nil
}

// reopen forgets the end of a job. Its epoch is raised, because tasks that are archived or retained hold
// the ids of the one before.
func (j *Job) reopen(at time.Time) {
	j.Epoch++
	j.Error, j.Hold, j.DoneAt = nil, nil, nil
	j.MissingSince, j.MissingAt = nil, nil
	j.FreeSince = &at
}

// recreate forgets the project of a job, but not that there was one.
func (j *Job) recreate(at time.Time) {
	j.reopen(at)
	if open := j.open(); open != nil {
		open.Outcome = Abandoned
	}
	if j.ProjectID != "" {
		j.Earlier = append(j.Earlier, j.ProjectID)
	}
	j.State, j.Inputs = Pending, nil
	j.ProjectID, j.ProjectAt, j.RemoteStatus, j.CreditsCharged = "", nil, "", 0
	j.Polls, j.Unproved, j.Sources, j.Outputs = 0, 0, nil, []Output{}
}

// A Resolution is what a person says of a job that is Unknown: exactly one of these.
type Resolution struct {
	Project  string // this project was bought for it: follow it
	Recreate bool   // buy it, at the risk of a second charge
	Fail     bool   // give it up; what may have been charged stays
}

// Resolve does what a person says of a job that is parked.
func (j *Job) Resolve(r Resolution, at time.Time) error {
	if j.State != Unknown {
		return refuse("job %s is %s; only one that is unknown can be resolved", j.ID, j.State)
	}
	switch {
	case slices.Contains(j.Orphans, r.Project), slices.Contains(j.Earlier, r.Project):
		return refuse("project %s is known as another one of job %s: see its record for which was bought when", r.Project, j.ID)
	case r.Project != "":
		token := ""
		if mark := j.Mark(); mark != nil {
			token = mark.Token
		}
		j.FreeSince = &at
		j.Attach(token, r.Project, 0, at)
	case r.Recreate:
		j.recreate(at)
	default:
		given := *j.Error
		given.Hint = fmt.Sprintf("given up by a person; enqueue retry %s parks it again, and retry --recreate buys it", j.ID)
		j.State, j.Error = Failed, &given
	}
	return nil
}
