package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// believedAfter is for how long a project must have been missing before it counts as gone: the
// API may read from a replica that does not know it yet, or somebody may just have rotated the
// key to that of another account.
const believedAfter = 10 * time.Minute

// gone reports whether the answer says that there is no such project, in either way that the
// API may say it.
func gone(project magichour.Project, err error) bool {
	var answer *magichour.Error
	if errors.As(err, &answer) {
		return answer.Status == http.StatusNotFound || answer.Status == http.StatusGone
	}
	return err == nil && project.Deleted()
}

// withoutProject decides for a project that is missing before its cleanup. The job is done if a
// complete and proved set of its files stands in the store all the same: its record may have lost
// its last steps in a failover. Otherwise it waits for a while, and then fails.
func (p *Pipeline) withoutProject(ctx context.Context, job *tasks.Job, wait decision) (decision, error) {
	m, err := p.proveManifest(ctx, job)
	if err != nil && !errors.Is(err, errUnproved) {
		return nil, err
	}
	proved := err == nil
	return func(job *tasks.Job) outcome {
		switch {
		case proved:
			p.stored(job, m)
			return finish(job, tasks.RemoteDeleted, goneReason)
		case p.mayComeBack(job):
			return wait(job)
		}
		return fail(job, stageOf(job.State), verdict{
			class: permanent, code: codeRemoteGone,
			message: fmt.Sprintf("project %s is not at Magic Hour any more", job.ProjectID),
			hint:    "somebody deleted it, or the key belongs to another account; submit the request under a new id to make it again",
		})
	}, nil
}

// mayComeBack reports whether a project that was not found just now has not been missing for long
// enough to be believed gone.
func (p *Pipeline) mayComeBack(job *tasks.Job) bool {
	now := p.now().UTC()
	if job.MissingSince == nil || job.MissingAt == nil || now.Sub(*job.MissingAt) > believedAfter {
		job.MissingSince = &now // for the first time, or again after it was there
	}
	job.MissingAt = &now
	return now.Sub(*job.MissingSince) < believedAfter
}

// lookAgain waits for a project that was not found just now.
func lookAgain(job *tasks.Job) outcome {
	return outcome{err: &setback{class: again, after: time.Minute, text: "project " + job.ProjectID + " is not found just now"}}
}

const goneReason = "it was not there any more"
