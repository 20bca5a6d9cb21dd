package pipeline

import (
	"cmp"
	"context"
	"fmt"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// poll asks how the render is doing. Whatever made it run, the answer comes from here: a
// canceled render, for one, sends no webhook.
func (p *Pipeline) poll(ctx context.Context, job *tasks.Job) (decision, error) {
	if err := p.afford(ctx, tasks.StagePoll, job, 1); err != nil {
		return nil, err
	}
	project, err := p.api.Project(ctx, operations.Kind(job.Kind), job.ProjectID)
	if gone(project, err) {
		return p.withoutProject(ctx, job, p.pollMissing)
	}
	if err != nil {
		return nil, err
	}
	return func(job *tasks.Job) outcome { return p.afterPoll(job, project) }, nil
}

// pollMissing waits for a project that can't be found, and looks again so soon that it is not taken for one that
// was there in between.
func (p *Pipeline) pollMissing(job *tasks.Job) outcome {
	out := p.pollAgain(job, "not found")
	out.in = min(out.in, believedAfter/4)
	return out
}

// afterPoll decides what the state of the project means for the job.
func (p *Pipeline) afterPoll(job *tasks.Job, project magichour.Project) outcome {
	job.CreditsCharged = int(project.CreditsCharged)
	job.MissingSince = nil
	switch project.Status {
	case magichour.StatusComplete:
		if sources := pin(project.Downloads); len(sources) >= wanted(job) && len(sources) == len(project.Downloads) {
			job.RemoteStatus = project.Status
			job.Sources = sources
			job.State = tasks.Storing
			return outcome{}
		}
		return p.pollAgain(job, "complete, but its files are missing")
	case magichour.StatusError:
		job.RemoteStatus = project.Status
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
			message: fmt.Sprintf("the render is still %q after %s", status, p.giveUpAge(job)),
			hint:    fmt.Sprintf("ask Magic Hour's support about project %s", job.ProjectID),
		})
	}
	job.Polls++
	at := p.now().UTC()
	job.PolledAt = &at
	switch {
	case status == magichour.StatusQueued:
		job.QueuedAt, job.RenderingAt = &at, nil
	case job.RenderingAt == nil:
		job.RenderingAt = &at
	}
	return outcome{in: p.plan(job)}
}

func renderVerdict(project magichour.Project) verdict {
	v := verdict{class: permanent, code: codeRenderFailed, message: "the render failed without a reason"}
	if e := project.Error; e != nil {
		v.code, v.message = cmp.Or(e.Code, v.code), cmp.Or(e.Message, v.message)
	}
	v.hint = "the credits were refunded; mend the input if the reason lies there, and submit it under a new id"
	return v
}

// wanted is how many files the request asks for.
func wanted(job *tasks.Job) int {
	op, _ := operations.Lookup(job.Operation)
	return max(1, op.Outputs(job.Body))
}
