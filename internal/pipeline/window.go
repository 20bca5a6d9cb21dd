package pipeline

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// The window bounds how many projects may render at once over the fleet (Settings.MaxRenders). A job enters it
// before its purchase and leaves it when its record says that no project of its can be rendering. A job
// that finds it full waits in its queue, and has no task meanwhile: whoever frees a slot enqueues
// the create of the next one.
//
// The slots are Redis's, and the record of a job is the truth of whether it needs one: what a worker that died has
// left undone between the two is made good by sweepWindow.

const (
	windowTurn  = "window"
	windowEvery = 10 * time.Second

	// windowPatience is how often the sweeper looks whether a job that waits still stands in the queue.
	windowPatience = 30 * time.Minute

	// unknownHolds is for how long a job keeps its slot of which nobody knows whether it was bought: about as
	// long as the project would render, if there is one. It may stay unknown for days.
	unknownHolds = 30 * time.Minute

	// admissionsAtMost bounds what one task enqueues of others. What is left has its deadline.
	admissionsAtMost = 100
)

const windowFull = "as many projects are rendering as HOURGLASS_MAX_RENDERS allows; the job goes on by itself when it is its turn"

// mayRender reports whether a job in this state may have a project that renders, or is about to.
func mayRender(s tasks.State) bool {
	return s == tasks.Pending || s == tasks.Creating || s == tasks.Rendering || s == tasks.Unknown
}

func placeOf(job *tasks.Job) records.Place {
	return records.Place{Job: job.ID, Epoch: job.Epoch, Priority: job.Options.Priority.Rank(), Tenant: job.Options.Tenant}
}

// inWindow reports whether a job may be bought: it has a slot, or there is no window.
func (p *Pipeline) inWindow(ctx context.Context, job *tasks.Job) (bool, error) {
	if p.set.MaxRenders == 0 {
		return true, nil
	}
	in, admitted, err := p.records.EnterWindow(ctx, p.set.MaxRenders, placeOf(job))
	if err != nil {
		return false, err
	}
	p.admit(ctx, admitted)
	return in, nil
}

// queued decides for a job that has to wait for a slot.
func (p *Pipeline) queued(job *tasks.Job) outcome {
	if !refusedAlone(job.Hold) {
		p.setHold(job, p.hold(job.Hold, verdict{class: throttled, code: codeWindow, message: windowFull}))
	}
	return outcome{in: windowPatience, waits: true}
}

// refusedAlone reports whether a job waits for its own sake, see verdict.ambiguous. It gives its slot back every
// time, and its age must go on counting, or it would never end.
func refusedAlone(h *tasks.Hold) bool {
	return h != nil && h.Code == codeCredits && strings.HasSuffix(h.Message, hintAmbiguous)
}

// leaveWindow gives the slot of a job to the next one. The record is saved by then, so whatever fails here is
// made good by sweepWindow.
func (p *Pipeline) leaveWindow(ctx context.Context, id string, epoch int) {
	if p.set.MaxRenders == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	admitted, err := p.records.LeaveWindow(ctx, p.set.MaxRenders, id, epoch)
	if err != nil {
		p.log.DebugContext(ctx, "slot not given back; the sweeper will", "job", id, "reason", err)
		return
	}
	p.admit(ctx, admitted)
}

// admit enqueues the creates of jobs that were given a slot. Each has a deadline, so that the sweeper does what
// fails here.
func (p *Pipeline) admit(ctx context.Context, jobs []string) {
	for n := 0; n < len(jobs) && n < admissionsAtMost; n++ {
		more, err := p.admitOne(ctx, jobs[n])
		if err != nil {
			p.log.DebugContext(ctx, "job not let in; the sweeper will", "job", jobs[n], "reason", err)
			continue
		}
		jobs = append(jobs, more...)
	}
}

// admitOne puts a job back on the road that has its slot now, or returns those that get the slot
// in place of one that nobody wants any more. The epoch makes sure that the task which found the window full
// does not stand in the way.
func (p *Pipeline) admitOne(ctx context.Context, id string) (instead []string, err error) {
	r, err := p.load(ctx, id)
	switch {
	case errors.Is(err, records.ErrNotFound):
		return p.records.LeaveWindow(ctx, p.set.MaxRenders, id, records.AnyEpoch)
	case err != nil:
		return nil, err
	case !mayRender(r.job.State):
		return p.records.LeaveWindow(ctx, p.set.MaxRenders, id, r.job.Epoch)
	case r.job.State != tasks.Pending:
		return nil, nil
	}
	return nil, p.putBack(ctx, r, func(job *tasks.Job) outcome {
		if job.Hold != nil && job.Hold.Code == codeWindow {
			p.setHold(job, nil)
		}
		return nextEpoch(job)
	})
}

// stillWaits reports whether a job without a task has none because it waits for a slot.
func (p *Pipeline) stillWaits(ctx context.Context, job *tasks.Job) (bool, error) {
	if p.set.MaxRenders == 0 || job.State != tasks.Pending {
		return false, nil
	}
	in, err := p.inWindow(ctx, job)
	if in || err != nil {
		return false, err
	}
	return true, p.records.SetDeadline(ctx, job.ID, windowPatience+grace)
}

// sweepWindow gives away the slots that are free, and holds those that are taken against the records of their
// jobs. One worker of the fleet at a time does the latter. Without a limit all who wait are let in.
func (p *Pipeline) sweepWindow(ctx context.Context) error {
	for {
		admitted, err := p.records.FillWindow(ctx, p.set.MaxRenders)
		if err != nil {
			return err
		}
		p.admit(ctx, admitted)
		if len(admitted) == 0 {
			break
		}
	}
	if p.set.MaxRenders == 0 {
		return nil
	}
	if mine, err := p.records.Turn(ctx, windowTurn, windowEvery); !mine || err != nil {
		return err
	}
	return errors.Join(p.sweepSlots(ctx), p.countRenders(ctx))
}

// sweepSlots takes slots back whose jobs need none any more, and enqueues those that nobody was told of.
func (p *Pipeline) sweepSlots(ctx context.Context) error {
	slots, err := p.records.Slots(ctx)
	if err != nil {
		return err
	}
	found, err := p.records.LoadAll(ctx, slots)
	if err != nil {
		return err
	}
	for i, id := range slots {
		if found[i] == nil {
			p.leaveWindow(ctx, id, records.AnyEpoch)
			continue
		}
		job, err := tasks.DecodeJob(found[i])
		switch {
		case err != nil: // of a later version, whose workers know
		case !mayRender(job.State), job.State == tasks.Unknown && p.now().Sub(job.StateAt) > unknownHolds:
			p.leaveWindow(ctx, id, job.Epoch)
		case job.State == tasks.Pending && job.Hold != nil && job.Hold.Code == codeWindow:
			p.admit(ctx, []string{id})
		}
	}
	return nil
}

// countAtMost is how many jobs that render are looked at in one sweep.
const countAtMost = 1000

// countRenders gives slots to jobs that render without one: bought before there was a window, or found to be
// bought long after their create. They may exceed the limit; nothing is bought until they do not.
func (p *Pipeline) countRenders(ctx context.Context) error {
	entries, err := p.records.Latest(ctx, string(tasks.Rendering), 0, countAtMost)
	if err != nil || len(entries) == 0 {
		return err
	}
	slots, err := p.records.Slots(ctx)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, id := range slots {
		has[id] = true
	}
	for _, e := range entries {
		if has[e.Job] {
			continue
		}
		r, err := p.load(ctx, e.Job)
		if errors.Is(err, records.ErrNotFound) || err == nil && r.job.State != tasks.Rendering {
			continue
		}
		if err == nil {
			_, err = p.records.JoinWindow(ctx, placeOf(r.job))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A Window is how far the window of renders is in use.
type Window struct {
	Limit         int // 0: there is none
	Used, Waiting int64
}

// Window counts the slots of the fleet and the jobs that wait for one.
func (p *Pipeline) Window(ctx context.Context) (Window, error) {
	used, waiting, err := p.records.Window(ctx)
	return Window{Limit: p.set.MaxRenders, Used: used, Waiting: waiting}, err
}
