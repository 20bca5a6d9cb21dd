package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// settling is for how long after its create a project may be answered with 404: the API may read
// from a replica that does not know it yet.
const settling = 10 * time.Minute

// poll asks how the render is doing. Whatever made it run, the answer comes from here: a
// canceled render, for one, sends no webhook.
func (p *Pipeline) poll(ctx context.Context, job *tasks.Job) (decision, error) {
	project, err := p.api.Project(ctx, operations.Kind(job.Kind), job.ProjectID)
	if gone(project, err) {
		return p.withoutProject, nil
	}
	if err != nil {
		return nil, err
	}
	return func(job *tasks.Job) outcome { return p.afterPoll(job, project) }, nil
}

// gone reports whether the answer says that there is no such project, in either way that the
// API may say it.
func gone(project magichour.Project, err error) bool {
	var answer *magichour.Error
	if errors.As(err, &answer) {
		return answer.Status == http.StatusNotFound || answer.Status == http.StatusGone
	}
	return err == nil && project.Deleted()
}

// withoutProject decides for a render that can't be found: soon after the create it may yet
// appear, later it is gone.
func (p *Pipeline) withoutProject(job *tasks.Job) outcome {
	if job.ProjectAt != nil && p.now().Sub(*job.ProjectAt) < settling {
		return p.pollAgain(job, "not found yet")
	}
	return fail(job, tasks.StagePoll, goneVerdict(job))
}

func goneVerdict(job *tasks.Job) verdict {
	return verdict{
		class: permanent, code: codeRemoteGone,
		message: fmt.Sprintf("project %s is not at Magic Hour any more", job.ProjectID),
		hint:    "somebody deleted it, or the key belongs to another account; submit the request under a new id to make it again",
	}
}

// afterPoll decides what the state of the project means for the job.
func (p *Pipeline) afterPoll(job *tasks.Job, project magichour.Project) outcome {
	job.CreditsCharged = project.CreditsCharged
	switch project.Status {
	case magichour.StatusComplete:
		if sources := pin(project.Downloads); len(sources) >= wanted(job) {
			job.RemoteStatus = project.Status
			job.Sources = sources
			job.State = tasks.Storing
			return outcome{}
		}
		return p.pollAgain(job, "complete, but its files are missing")
	case magichour.StatusError:
		return fail(job, tasks.StagePoll, renderVerdict(project))
	case magichour.StatusCanceled:
		job.RemoteStatus = project.Status
		job.State = tasks.Canceled
		return outcome{}
	}
	return p.pollAgain(job, project.Status)
}

// pollAgain waits: for a status that is not final, also for one that nobody knows.
func (p *Pipeline) pollAgain(job *tasks.Job, status string) outcome {
	job.RemoteStatus = status
	if p.tooOld(job) {
		return fail(job, tasks.StagePoll, verdict{
			code:    codeGaveUp,
			message: fmt.Sprintf("the render is still %q after %s", status, p.set.GiveUp),
			hint:    fmt.Sprintf("ask Magic Hour's support about project %s", job.ProjectID),
		})
	}
	job.Polls++
	return outcome{in: p.plan(job)}
}

func renderVerdict(project magichour.Project) verdict {
	v := verdict{class: permanent, code: "unknown_error", message: "the render failed without a reason"}
	if e := project.Error; e != nil {
		v.code, v.message = e.Code, e.Message
	}
	v.hint = "the credits were refunded; mend the input if the reason lies there, and submit it under a new id"
	return v
}

// wanted is how many files the request asks for.
func wanted(job *tasks.Job) int {
	op, _ := operations.Lookup(job.Operation)
	return max(1, op.Outputs(job.Body))
}
