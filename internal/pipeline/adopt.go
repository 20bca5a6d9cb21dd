package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// tag is the end of a project's name, see projectName: id of the job, and token of the purchase.
var tag = regexp.MustCompile(`\[([A-Za-z0-9][A-Za-z0-9._-]{0,127})~([a-z0-9]{20,64})\]$`)

// sightingOf reads the tag in the name of an event's project.
func sightingOf(event magichour.Event) (seen records.Sighting, tagged bool) {
	found := tag.FindStringSubmatch(strings.TrimSpace(event.Name))
	if found == nil {
		return seen, false
	}
	return records.Sighting{Job: found[1], Token: found[2], Kind: string(event.Kind), Project: event.Project}, true
}

// knows reports whether a project stands in the record of a job, followed or not.
func knows(job *tasks.Job, project string) bool {
	return job.ProjectID == project || slices.Contains(job.Orphans, project) || slices.Contains(job.Earlier, project)
}

// purchaseOf returns the attempt with a token, or nil. An open one without a token stands for a
// purchase whose token the record has lost, so it may have had any.
func purchaseOf(job *tasks.Job, token string) *tasks.Attempt {
	var lost *tasks.Attempt
	for i := range job.Attempts {
		switch a := &job.Attempts[i]; {
		case a.Token == token:
			return a
		case a.Token == "" && a.Outcome == "":
			lost = a
		}
	}
	return lost
}

// adopt gives the project that was seen to the job whose purchase it is, and reports whether the job knows
// it now. Any job with that purchase may turn out to have bought it: mostly a parked one, but also one
// whose create is still under way, was given back as not charged, or has ended.
//
// A sighting that says no more is dropped. It stays kept while nobody knows: the API does not
// answer, or no job has this purchase. That may be the job of another environment with the same account.
func (p *Pipeline) adopt(ctx context.Context, seen records.Sighting) (bool, error) {
	r, err := p.load(ctx, seen.Job)
	if errors.Is(err, records.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if knows(r.job, seen.Project) {
		return true, p.records.Drop(ctx, seen)
	}
	attempt := purchaseOf(r.job, seen.Token)
	if attempt == nil {
		return false, nil
	}
	project, err := p.look(ctx, seen)
	if err != nil {
		return false, err
	}
	why := unfit(r.job, *attempt, seen, project)
	if why == "" {
		owner, err := p.records.Claim(ctx, seen.Project, seen.Job)
		if err != nil {
			return false, err
		}
		if owner != seen.Job {
			why = "it belongs to job " + owner
		}
	}
	if why != "" {
		p.log.WarnContext(ctx, "project not adopted", "job", seen.Job, "project", seen.Project, "reason", why)
		return false, p.records.Drop(ctx, seen)
	}
	return p.follow(ctx, r, seen, project)
}

// lookWithin bounds the GET of a project, within the time that a webhook has.
const lookWithin = 4 * time.Second

func (p *Pipeline) look(ctx context.Context, seen records.Sighting) (magichour.Project, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	p.spend(ctx)
	return p.api.Project(ctx, operations.Kind(seen.Kind), seen.Project)
}

// clockLag is how far Magic Hour's clock may be behind ours, by which the mark was set.
const clockLag = 5 * time.Minute

// unfit says why a project can't be the one that an attempt bought; empty if it can.
//
// The record of a purchase whose token is lost is younger than the purchase may be: what counts is
// the age of the job.
func unfit(job *tasks.Job, attempt tasks.Attempt, seen records.Sighting, project magichour.Project) string {
	since := attempt.At
	if attempt.Token == "" && job.CreatedAt.Before(since) {
		since = job.CreatedAt
	}
	switch {
	case seen.Kind != job.Kind:
		return fmt.Sprintf("it is of kind %s, the job of kind %s", seen.Kind, job.Kind)
	case !strings.HasSuffix(strings.TrimSpace(string(project.Name)), tasks.Tag(seen.Job, seen.Token)):
		return "its name is another one by now"
	case project.CreatedAt.Before(since.Add(-clockLag)):
		return fmt.Sprintf("it was made at %s, before the purchase", project.CreatedAt.UTC().Format(time.RFC3339))
	}
	return ""
}

// follow records a project that was seen and claimed, and hands the job on. What has ended by then is
// polled at once.
func (p *Pipeline) follow(ctx context.Context, r *record, seen records.Sighting, project magichour.Project) (bool, error) {
	from := r.job.State
	out, err := p.update(ctx, r, func(job *tasks.Job) outcome {
		attempt := purchaseOf(job, seen.Token)
		if attempt == nil {
			return p.planned(job) // somebody has decided meanwhile
		}
		bought(job, attempt.Token, magichour.Created{ID: seen.Project, CreditsCharged: project.CreditsCharged}, p.now().UTC())
		out := p.planned(job)
		switch project.Status {
		case magichour.StatusComplete, magichour.StatusError, magichour.StatusCanceled:
			out.in = 0
		}
		return out
	})
	if err != nil {
		return false, err
	}
	if r.job.ProjectID == seen.Project {
		p.log.InfoContext(ctx, "project adopted", "job", r.job.ID, "project", seen.Project, "from", from)
	} else {
		p.log.WarnContext(ctx, "project not adopted", "job", r.job.ID, "project", seen.Project, "reason", "the job is "+string(r.job.State)+" without it")
		err = p.records.ExpireClaim(ctx, seen.Project, p.set.RecordTTL)
	}
	return knows(r.job, seen.Project), errors.Join(err, p.handOn(ctx, r, out.in), p.records.Drop(ctx, seen))
}

// adoptKept looks for the project of a job that is parked among those that were seen before.
func (p *Pipeline) adoptKept(ctx context.Context, job string) error {
	kept, err := p.records.Kept(ctx, job)
	for _, seen := range kept {
		_, adoptErr := p.adopt(ctx, seen)
		err = errors.Join(err, adoptErr)
	}
	return err
}

const (
	sightingsAtMost = 100 // in one sweep
	sightingsWithin = 30 * time.Second
)

// sweepSightings matches what was seen with jobs once more: the worker may have died in between, or
// the API may not have answered.
func (p *Pipeline) sweepSightings(ctx context.Context) error {
	due, err := p.records.DueSightings(ctx, sightingsAtMost)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sightingsWithin)
	defer cancel()
	for _, seen := range due {
		if ctx.Err() != nil {
			break // the next look at the others comes
		}
		if _, err := p.adopt(ctx, seen); err != nil {
			p.logOnce(ctx, slog.LevelWarn, "project not adopted yet", "", "job", seen.Job, "project", seen.Project, "reason", err)
		}
	}
	return nil
}
