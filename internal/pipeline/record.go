package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A record is a job as it was read, and the revision by which it can be saved.
type record struct {
	job *tasks.Job
	rev string
}

// saveWithin bounds what is done in Redis after an outside call. What the outside said is not
// to be lost because the worker is told to stop.
const saveWithin = 10 * time.Second

// find returns the record that a task is about; nil if there is none any more.
func (p *Pipeline) find(ctx context.Context, payload tasks.Payload) (*record, error) {
	id := payload.Head().JobID
	create, isCreate := payload.(*tasks.Create)
	r, err := p.load(ctx, id)
	switch {
	case errors.Is(err, records.ErrNotFound) && isCreate:
		return p.firstSight(ctx, create)
	case errors.Is(err, records.ErrNotFound):
		p.log.WarnContext(ctx, "task of a job without a record", "job", id, "task", tasks.TaskID(payload))
		return nil, nil //nolint:nilnil // no record is an answer: there is nothing to do
	case err != nil:
		return nil, err
	case isCreate && !create.Matches(r.job):
		return nil, archived(fmt.Sprintf("job %s exists with a different request: use another id", id))
	}
	return r, nil
}

// clockSkew is how far the clocks of callers may be ahead.
const clockSkew = time.Hour

// firstSight writes the record of a job that was enqueued as a bare task. From now on the
// request comes from the record, never from the task.
//
// The record of a job is kept for RecordTTL after its end. A task older than that may be one of
// a job that was done and forgotten, so it buys nothing.
func (p *Pipeline) firstSight(ctx context.Context, c *tasks.Create) (*record, error) {
	age := p.now().Sub(c.CreatedAt)
	switch {
	case age < -clockSkew:
		return nil, archived(fmt.Sprintf("created_at: %s lies in the future", c.CreatedAt.Format(time.RFC3339)))
	case c.CreatedAt.IsZero():
		return nil, archived("created_at: required, the time at which the task was made")
	case age > p.set.RecordTTL:
		return nil, archived(fmt.Sprintf("the task is %s old, and records are kept for %s: whether the job was done before can't be told; submit it anew under another id", age.Round(time.Second), p.set.RecordTTL))
	}
	job, err := c.Job()
	if err != nil {
		return nil, archived(err.Error())
	}
	r := &record{job: job, rev: records.Absent}
	err = p.save(ctx, r, job, 0)
	if errors.Is(err, records.ErrConflict) {
		return p.find(ctx, c)
	}
	return r, err
}

func (p *Pipeline) load(ctx context.Context, id string) (*record, error) {
	data, rev, err := p.records.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	job, err := tasks.DecodeJob(data)
	if err != nil {
		return nil, err
	}
	return &record{job: job, rev: rev}, nil
}

// update applies a decision and saves the record, again to a fresher one for as long as somebody
// else changes it meanwhile. A decision that changes nothing is not saved. r is the record as
// it stands afterwards.
func (p *Pipeline) update(ctx context.Context, r *record, decide decision) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	for {
		job := r.job.Clone()
		out := decide(job)
		changed, err := differ(r.job, job)
		if err != nil || !changed {
			return out, err
		}
		err = p.save(ctx, r, job, out.in)
		if !errors.Is(err, records.ErrConflict) {
			return out, err
		}
		fresh, err := p.load(ctx, job.ID)
		if err != nil {
			return outcome{}, err
		}
		*r = *fresh
	}
}

func differ(a, b *tasks.Job) (bool, error) {
	before, err := a.Encode()
	if err != nil {
		return false, err
	}
	after, err := b.Encode()
	return !bytes.Equal(before, after), err
}

// save writes a changed job at the record's revision.
func (p *Pipeline) save(ctx context.Context, r *record, job *tasks.Job, in time.Duration) error {
	var ttl time.Duration
	if job.State.Ended() && !undeleted(job) && !job.Untold() {
		ttl = p.set.RecordTTL
	}
	return p.saveBy(ctx, r, job, in, func(data []byte) (string, error) {
		return p.records.Save(ctx, job.ID, data, r.rev, ttl)
	})
}

// saveBy writes a changed job by one of the ways to write, and logs its transition. The deadline
// is set before the record becomes active, and removed after it has ended; the index follows the
// same order.
func (p *Pipeline) saveBy(ctx context.Context, r *record, job *tasks.Job, in time.Duration, write func([]byte) (string, error)) error {
	from, moves := r.job.State, r.rev == records.Absent || r.job.State != job.State
	p.stamp(job, moves)
	notices := job.Announce(r.job)
	deadline, err := p.deadline(ctx, job, in)
	if err != nil {
		return err
	}
	if from.Ended() && !job.State.Ended() && job.ProjectID != "" {
		if err := p.records.KeepClaim(ctx, job.ProjectID); err != nil {
			return err
		}
	}
	entered, err := p.enter(ctx, job, moves)
	if err != nil {
		return err
	}
	data, err := job.Encode()
	if err != nil {
		return err
	}
	rev, err := write(data)
	if errors.Is(err, records.ErrConflict) && moves {
		p.notEntered(ctx, job, entered)
	}
	if err != nil {
		return err
	}
	deleted := remotePending(r.job) && !remotePending(job)
	p.moved(ctx, r, job, rev)
	p.publish(ctx, notices)
	if len(notices) > 0 || moves && job.Untold() { // the worker before may have died between the two
		p.notifyAll(ctx, job)
	}
	if !mayRender(job.State) && (mayRender(from) || from == job.State) {
		p.leaveWindow(ctx, job.ID, job.Epoch)
	}
	if from != job.State {
		// What is left in the index by mistake is cleared by whoever lists it.
		_ = p.records.Exit(ctx, string(from), job.ID, entered)
	}
	if deleted {
		_ = p.records.Exit(ctx, undeletedJobs, job.ID, entered)
	}
	return p.leave(ctx, job, deadline)
}

// stamp writes down when a change was made.
func (p *Pipeline) stamp(job *tasks.Job, moves bool) {
	at := p.now().UTC()
	job.UpdatedAt = at
	job.ETA = p.eta(job)
	if moves {
		job.StateAt = at
	}
	if job.State.Ended() && job.DoneAt == nil {
		job.DoneAt = &at
	}
}

// enter puts a job into the index if it comes into another state, or is to live for its TTL anew.
func (p *Pipeline) enter(ctx context.Context, job *tasks.Job, moves bool) (records.Moment, error) {
	if !moves && !job.State.Settled() {
		return 0, nil
	}
	return p.records.Enter(ctx, string(job.State), job.ID)
}

// notEntered takes a job out of the index again that somebody else has moved elsewhere. What is left there
// by mistake is cleared by whoever lists it.
func (p *Pipeline) notEntered(ctx context.Context, job *tasks.Job, entered records.Moment) {
	if fresh, err := p.load(ctx, job.ID); err == nil && fresh.job.State != job.State {
		_ = p.records.Exit(ctx, string(job.State), job.ID, entered)
	}
}

// deadline sets the time by which a job on the road must have moved. Of one that leaves the road
// it returns the deadline that can be cleared.
func (p *Pipeline) deadline(ctx context.Context, job *tasks.Job, in time.Duration) (records.Deadline, error) {
	switch {
	case undeleted(job):
		if _, err := p.records.Enter(ctx, undeletedJobs, job.ID); err != nil {
			return "", err
		}
		return "", p.records.SetDeadline(ctx, job.ID, deleteAgainAfter)
	case job.State.Settled() && job.Untold():
		return "", p.records.SetDeadline(ctx, job.ID, grace)
	case job.State.Settled():
		return p.records.Deadline(ctx, job.ID)
	}
	return "", p.records.SetDeadline(ctx, job.ID, in+grace)
}

// moved makes the saved job the record as it stands, and logs it if it took a step.
func (p *Pipeline) moved(ctx context.Context, r *record, job *tasks.Job, rev string) {
	from := r.job
	r.job, r.rev = job, rev
	p.observer.Saved(from, job)
	if from.State != job.State || from == job {
		p.logTransition(ctx, from, job)
	}
	switch {
	case from.Hold == nil && waitsForPerson(job.Hold):
		p.logOnce(ctx, slog.LevelWarn, "job held", job.Hold.Code, "job", job.ID, "state", job.State, "code", job.Hold.Code, "reason", job.Hold.Message)
	case waitsForPerson(from.Hold) && job.Hold == nil && !job.State.Settled():
		p.logOnce(ctx, slog.LevelInfo, "job no longer held", from.Hold.Code, "job", job.ID, "state", job.State)
	}
}

// leave forgets what is kept only for jobs on the road, once the record says that the job has left
// it. May be repeated.
func (p *Pipeline) leave(ctx context.Context, job *tasks.Job, seen records.Deadline) error {
	if !job.State.Settled() || undeleted(job) {
		return nil
	}
	if job.State.Ended() {
		for _, project := range append(append(slices.Clone(job.Orphans), job.Earlier...), job.ProjectID) {
			if project == "" {
				continue
			}
			if err := p.records.ExpireClaim(ctx, project, p.set.RecordTTL); err != nil {
				return err
			}
		}
	}
	return p.records.ClearDeadline(ctx, job.ID, seen)
}
