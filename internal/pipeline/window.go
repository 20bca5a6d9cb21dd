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

	// windowTries is how often a job meets trouble before it lets others pass. What it meets may be its own: a
	// request that the API can't bear, inputs that can't be read.
	windowTries = 3

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
	if !letsPass(job.Hold) {
		p.setHold(job, p.hold(job.Hold, verdict{class: throttled, code: codeWindow, message: windowFull}))
	}
	return outcome{in: patienceOf(job), waits: true}
}

// patienceOf spreads the looks at jobs that came together.
func patienceOf(job *tasks.Job) time.Duration { return jitter(windowPatience, job.ID, job.Epoch) }

// letsPass reports whether a job may wait again for what is its own fault. Its age must go on counting meanwhile,
// or it would never end.
func letsPass(h *tasks.Hold) bool {
	return h != nil && (h.Code == codeTrouble || h.Code == codeCredits && strings.HasSuffix(h.Message, hintAmbiguous))
}

// letOthersPass gives the slot of a job back that was refused, if it may be refused for as long as it lives.
func (p *Pipeline) letOthersPass(ctx context.Context, job *tasks.Job, v verdict, retried int) {
	if v.ambiguous || v.class == transient && retried+1 >= windowTries {
		p.leaveWindow(ctx, job.ID, job.Epoch)
	}
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
	waits, err := p.records.Waits(ctx, job.ID)
	if err != nil {
		return false, err
	}
	if !waits { // lost by a failover, or let in just now
		if in, err := p.inWindow(ctx, job); in || err != nil {
			return false, err
		}
	}
	return true, p.records.SetDeadline(ctx, job.ID, patienceOf(job)+grace)
}

// sweepWindowEvery sweeps the window until ctx ends: by itself, since the sweep of many jobs takes its time.
func (p *Pipeline) sweepWindowEvery(ctx context.Context) {
	for {
		if err := p.sweepWindow(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "window not looked at; the next sweep does", "reason", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.after(sweepEvery):
		}
	}
}

// sweepWindow gives away the slots that are free, and holds those that are taken against the records of their
// jobs. One worker of the fleet at a time does the latter. Where no worker has a limit all who wait are let in.
func (p *Pipeline) sweepWindow(ctx context.Context) error {
	fill := func() ([]string, error) { return p.records.FillWindow(ctx, p.set.MaxRenders) }
	if p.set.MaxRenders == 0 {
		fill = func() ([]string, error) { return p.records.OpenWindow(ctx) }
	}
	for {
		admitted, err := fill()
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
	for from := uint64(0); ; {
		slots, next, err := p.records.Slots(ctx, from)
		if err != nil {
			return err
		}
		if err := p.sweepSome(ctx, slots); err != nil || next == 0 {
			return err
		}
		from = next
	}
}

// sweepSome takes a slot back in the epoch in which it was seen: the job may have come by it anew since.
func (p *Pipeline) sweepSome(ctx context.Context, slots []records.Slot) error {
	ids := make([]string, len(slots))
	for i, slot := range slots {
		ids[i] = slot.Job
	}
	found, err := p.records.LoadAll(ctx, ids)
	if err != nil {
		return err
	}
	for i, slot := range slots {
		if found[i] == nil {
			p.leaveWindow(ctx, slot.Job, slot.Epoch)
			continue
		}
		job, err := tasks.DecodeJob(found[i])
		switch {
		case err != nil: // of a later version, whose workers know
		case !mayRender(job.State), job.State == tasks.Unknown && p.now().Sub(job.StateAt) > unknownHolds:
			p.leaveWindow(ctx, slot.Job, slot.Epoch)
		case job.State == tasks.Pending && job.Hold != nil && job.Hold.Code == codeWindow:
			p.admit(ctx, []string{slot.Job})
		}
	}
	return nil
}

// countPage is how many jobs that render are looked at together.
const countPage = 1000

// countRenders gives slots to jobs that render without one: bought before there was a window, by a worker without
// a limit, or found to be bought long after their create. They may exceed the limit; nothing is bought until they
// do not.
func (p *Pipeline) countRenders(ctx context.Context) error {
	for from := records.Moment(0); ; {
		entries, err := p.records.Latest(ctx, string(tasks.Rendering), from, countPage)
		if err != nil || len(entries) == 0 {
			return err
		}
		jobs := make([]string, len(entries))
		for i, e := range entries {
			jobs[i] = e.Job
		}
		if err := p.countSome(ctx, jobs); err != nil || len(entries) < countPage {
			return err
		}
		if last := entries[len(entries)-1].At; last != from {
			from = last // those that came with the last one may follow
		} else {
			from--
		}
	}
}

func (p *Pipeline) countSome(ctx context.Context, jobs []string) error {
	jobs, err := p.records.WithoutSlot(ctx, jobs)
	if err != nil {
		return err
	}
	for _, id := range jobs {
		r, err := p.load(ctx, id)
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
