package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// cleanup deletes the remote project, right after it has proved once more that every one of its
// outputs is in the store. It is the only place that deletes anything at Magic Hour.
func (p *Pipeline) cleanup(ctx context.Context, job *tasks.Job) (decision, error) {
	if err := p.afford(ctx, tasks.StageCleanup, job, 2); err != nil { // the look and the DELETE
		return nil, err
	}
	project, err := p.api.Project(ctx, operations.Kind(job.Kind), job.ProjectID)
	if gone(project, err) {
		return func(job *tasks.Job) outcome {
			if !project.Deleted() && p.mayComeBack(job) {
				return lookAgain(job)
			}
			return finish(job, tasks.RemoteDeleted, goneReason)
		}, nil
	}
	if err != nil {
		return nil, err
	}
	if project.Status != magichour.StatusComplete || len(project.Downloads) == 0 {
		// Every output of nothing proves nothing: ask again.
		return nil, fmt.Errorf("project %s was complete, and now it is %q with %d files: not deleted", job.ProjectID, project.Status, len(project.Downloads))
	}
	err = p.prove(ctx, job, project)
	if errors.Is(err, errUnproved) {
		return unproved(err), nil
	}
	if err != nil {
		return nil, err
	}
	if job.Options.KeepRemote {
		return func(job *tasks.Job) outcome { return finish(job, tasks.RemoteKept, keptReason) }, nil
	}
	if slices.ContainsFunc(job.Sources, func(s tasks.Source) bool { return s.OpenEnded }) {
		return func(job *tasks.Job) outcome {
			return finish(job, tasks.RemoteKept, "the media host did not say how long a file is: its copy can't be proved to be whole")
		}, nil
	}
	if err := p.notMovedOn(ctx, job); err != nil {
		return nil, err
	}
	return deleted(p.api.Delete(ctx, operations.Kind(job.Kind), job.ProjectID))
}

const keptReason = "the job says keep_remote"

// notMovedOn is the last look before what can't be taken back, a DELETE or a write: a handler that was
// frozen must not act when another one has sent the job back to be copied, or a person has canceled it.
func (p *Pipeline) notMovedOn(ctx context.Context, job *tasks.Job) error {
	r, err := p.load(ctx, job.ID)
	if err == nil && (r.job.State != job.State || r.job.Epoch != job.Epoch || r.job.ProjectID != job.ProjectID) {
		err = errors.New("somebody else has moved the job on meanwhile")
	}
	return err
}

// deleteAgainAfter is how often the sweeper has a delete tried again that has failed for a day.
const deleteAgainAfter = 24 * time.Hour

// undeleted reports whether a job is done but for its remote project.
func undeleted(job *tasks.Job) bool { return job.State == tasks.Done && remotePending(job) }

// remotePending reports whether a job was done but for its remote project, also while that is tried again.
func remotePending(job *tasks.Job) bool {
	return job.Remote != nil && *job.Remote == tasks.RemotePending
}

// deleteAgain reopens such a job for one more cleanup.
func deleteAgain(job *tasks.Job) outcome {
	job.State = tasks.Cleaning
	job.Epoch++
	return outcome{}
}

// prove holds three things against each other: what the record says was copied, what the store
// holds, and what the project has.
func (p *Pipeline) prove(ctx context.Context, job *tasks.Job, project magichour.Project) error {
	m, err := p.proveManifest(ctx, job)
	if err != nil {
		return err
	}
	if !slices.Equal(m.outputs(), job.Outputs) {
		return fmt.Errorf("%w: the manifest and the record differ", errUnproved)
	}
	if _, same := match(m.sources(), project.Downloads); !same {
		return fmt.Errorf("%w: the project has other files than were copied", errUnproved)
	}
	return nil
}

// A store that loses or changes objects is not copied to in a circle: every time it is waited for
// twice as long, and in the end the remote is kept.
const (
	copyAgainAfter = time.Minute
	copiesAtMost   = 8
)

// unproved sends the job back to be copied again, while the remote still lives. Not so a job that
// had its end: its files may have been taken away since, by those who were to have them.
func unproved(why error) decision {
	return func(job *tasks.Job) outcome {
		job.Unproved++
		if job.Unproved > copiesAtMost || job.DoneAt != nil {
			return finish(job, tasks.RemoteKept, why.Error())
		}
		if w := "copied again: " + why.Error(); !slices.Contains(job.Warnings, w) {
			job.Warnings = append(job.Warnings, w)
		}
		job.State = tasks.Storing
		job.Epoch++
		job.Outputs = []tasks.Output{}
		job.StoredAt = nil
		return outcome{in: copyAgainAfter << (job.Unproved - 1)}
	}
}

// deleted decides after a delete. A refusal for good ends the job too: its files are safe.
func deleted(err error) (decision, error) {
	var answer *magichour.Error
	switch {
	case err == nil:
		return func(job *tasks.Job) outcome { return finish(job, tasks.RemoteDeleted, "") }, nil
	case !errors.As(err, &answer):
		return nil, err
	}
	switch answer.Status {
	case http.StatusNotFound, http.StatusGone:
		return func(job *tasks.Job) outcome { return finish(job, tasks.RemoteDeleted, "") }, nil
	case http.StatusUnprocessableEntity, http.StatusForbidden:
		return func(job *tasks.Job) outcome { return finish(job, tasks.RemoteKept, answer.Message) }, nil
	}
	return nil, err
}
