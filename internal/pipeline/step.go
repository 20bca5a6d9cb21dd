package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// An outcome is what is left to do once a decision is saved.
type outcome struct {
	in    time.Duration // delay of the next task
	err   error         // what the queue is told; nil acknowledges the task
	waits bool          // there is no next task for now; in is when the sweeper looks at the job
}

// A decision is the pure half of a stage: it changes the record as it stands and says what is
// left to do. It may be applied more than once, each time to a fresher record.
type decision func(job *tasks.Job) outcome

// planned leaves the record as it is, and the next task to the plan.
func (p *Pipeline) planned(job *tasks.Job) outcome { return outcome{in: p.plan(job)} }

// handle takes one step.
func (p *Pipeline) handle(ctx context.Context, task *asynq.Task) error {
	payload, err := tasks.Decode(task)
	if err != nil {
		return p.unread(ctx, task, err)
	}
	if n, ok := payload.(*tasks.Notification); ok {
		return p.notify(ctx, n)
	}
	r, err := p.find(ctx, payload)
	if err != nil || r == nil {
		return p.unread(ctx, task, err)
	}
	showTask(ctx, payload, r.job)
	if payload.Head().Epoch != r.job.Epoch {
		p.log.DebugContext(ctx, "task of another epoch", "job", r.job.ID, "task", tasks.TaskID(payload))
		return nil
	}
	before := r.job
	err = p.step(ctx, task, r, payload)
	showJob(ctx, r.job)
	p.learn(ctx, before, r.job) // not deferred: a step that panics has nothing to teach
	return err
}

// step advances the job and makes sure of what comes next.
func (p *Pipeline) step(ctx context.Context, task *asynq.Task, r *record, payload tasks.Payload) error {
	out, err := p.advance(ctx, r, payload)
	if err != nil {
		return err
	}
	if out.err != nil {
		p.logSetback(ctx, r.job, payload.Stage(), out.err)
		return out.err
	}
	if out.waits {
		return nil
	}
	if err := p.handOn(ctx, r, out.in); err != nil {
		return err
	}
	p.heedWebhooks(ctx, r.job)
	p.report(ctx, task, r.job)
	return nil
}

// unread tells the queue what to do with a task that can't be connected to a record. One of a
// later version waits for a newer worker; one that is wrong is archived, with the reason.
func (p *Pipeline) unread(ctx context.Context, task *asynq.Task, err error) error {
	var refused *dead
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tasks.ErrVersion):
		v := classify("", err)
		return &setback{class: v.class, after: v.after, text: v.message}
	case errors.As(err, &refused), errors.Is(err, tasks.ErrPayload):
		p.log.ErrorContext(ctx, "task archived", "type", task.Type(), "reason", err)
		return archived(err.Error())
	}
	return err
}

// advance runs the stage if it is the job's turn, and does nothing for a job that has moved on:
// then all that is left is to make sure that its next task exists.
func (p *Pipeline) advance(ctx context.Context, r *record, payload tasks.Payload) (outcome, error) {
	stage := payload.Stage()
	poll, isPoll := payload.(*tasks.Poll)
	stale := isPoll && poll.N != r.job.Polls
	if r.job.State == tasks.Failed && r.job.Error.Stage == string(stage) && !stale {
		return p.afterItsFailure(ctx, r, payload)
	}
	if stageOf(r.job.State) != stage || stale {
		return p.planned(r.job), nil
	}
	hold, err := p.holds.of(ctx, stage)
	if err != nil {
		return outcome{}, err
	}
	decide, err := p.runUnless(ctx, hold, stage, r)
	var turn *setback // to call the API
	switch {
	case err != nil && ctx.Err() != nil:
		// The worker is stopping, or has lost the task to another one: that says nothing of the job.
		return outcome{err: &setback{class: again, after: time.Second, text: "the worker stopped: " + magichour.Redact(err.Error())}}, nil
	case errors.As(err, &turn):
		return p.update(ctx, r, p.within(r.job, p.untilTurn(turn)))
	case err != nil:
		decide = p.within(r.job, p.onError(stage, classify(stage, err), p.retried(ctx)))
	}
	out, saveErr := p.update(ctx, r, decide)
	if err != nil {
		p.tellFleet(ctx, stage, err)
	}
	if err != nil && stage == tasks.StageCreate { // one that renders keeps its slot whatever happens
		p.letOthersPass(ctx, r.job, classify(stage, err), p.retried(ctx))
	}
	return out, saveErr
}

// untilTurn sends a task back until its turn to call the API. The record is left alone, but for a hold that a
// person has released: the stage would not have come so far.
func (p *Pipeline) untilTurn(turn *setback) decision {
	return func(job *tasks.Job) outcome {
		if job.Hold != nil && job.Hold.Code == byHand {
			p.setHold(job, nil)
		}
		return outcome{in: turn.after, err: turn}
	}
}

// runUnless lets the stage work unless the fleet is held there. A purchase that somebody else has begun
// is parked all the same: that asks nobody.
func (p *Pipeline) runUnless(ctx context.Context, hold *StageHold, stage tasks.Stage, r *record) (decision, error) {
	if hold != nil && r.job.Mark() == nil {
		return nil, p.heldBack(hold)
	}
	return p.run(ctx, stage, r)
}

// run lets the stage do its one thing outside. The decisions of create know their own mark; those
// of the others hold only at the place of the road that they were made for.
func (p *Pipeline) run(ctx context.Context, stage tasks.Stage, r *record) (decision, error) {
	if stage == tasks.StageCreate {
		return p.create(ctx, r)
	}
	decide, err := p.paid(ctx, stage, r.job)
	if err != nil {
		return nil, err
	}
	return p.within(r.job, func(job *tasks.Job) outcome {
		p.setHold(job, nil)
		return decide(job)
	}), nil
}

// paid runs one of the stages after the purchase.
func (p *Pipeline) paid(ctx context.Context, stage tasks.Stage, job *tasks.Job) (decision, error) {
	switch stage {
	case tasks.StagePoll:
		return p.poll(ctx, job)
	case tasks.StageDownload:
		return p.download(ctx, job)
	default:
		return p.cleanup(ctx, job)
	}
}

// within limits a decision to the place of the road it was made for. A record that somebody
// else has moved on meanwhile stays as it is.
func (p *Pipeline) within(seen *tasks.Job, decide decision) decision {
	state, epoch, project, polls := seen.State, seen.Epoch, seen.ProjectID, seen.Polls
	return func(job *tasks.Job) outcome {
		if job.State != state || job.Epoch != epoch || job.ProjectID != project || job.Polls != polls {
			return p.planned(job)
		}
		return decide(job)
	}
}

// handOn makes sure that the task exists which moves the job on. A conflict with one that is still to
// run is fine: the id says that it is the same step of the same job. What is saved is handed on even if
// the worker is told to stop meanwhile.
func (p *Pipeline) handOn(ctx context.Context, r *record, in time.Duration) error {
	next := r.job.Next()
	if next == nil {
		return nil
	}
	task, err := tasks.NewTask(next)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	options := []asynq.Option{asynq.ProcessIn(in)}
	if next.Stage() != tasks.StagePoll {
		// Polls are many, and the next one tells what the last one saw.
		options = append(options, asynq.Retention(p.set.TaskRetention))
	}
	_, err = p.queue.EnqueueContext(ctx, task, options...)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return p.unlessFinished(ctx, r, next)
	}
	return err
}

// report writes what became of the job as the task's result, for the eyes of whoever watches
// the dashboard. It decides nothing, so a failure is not worth running the task again.
func (p *Pipeline) report(ctx context.Context, task *asynq.Task, job *tasks.Job) {
	w := task.ResultWriter()
	if w == nil || job.State == tasks.Rendering && job.Polls > 1 {
		return
	}
	if text, err := json.Marshal(resultOf(job)); err == nil {
		queue, _ := asynq.GetQueueName(ctx)
		_ = p.records.WriteResult(ctx, queue, w.TaskID(), text)
	}
}

// A result is what a person who watches the dashboard sees of a task that has ended.
type result struct {
	State     tasks.State   `json:"state"`
	ProjectID string        `json:"project_id,omitempty"`
	Credits   int           `json:"credits_charged,omitempty"`
	Polls     int           `json:"polls,omitempty"`
	Keys      []string      `json:"keys,omitempty"`  // of the files in the store
	Bytes     int64         `json:"bytes,omitempty"` // of all files
	Remote    *tasks.Remote `json:"remote,omitempty"`
	Error     string        `json:"error,omitempty"`
}

func resultOf(job *tasks.Job) result {
	r := result{State: job.State, ProjectID: job.ProjectID, Credits: job.CreditsCharged, Remote: job.Remote}
	if job.State != tasks.Rendering { // there it is the number of the next one
		r.Polls = job.Polls
	}
	for _, o := range job.Outputs {
		r.Keys = append(r.Keys, o.Key)
		r.Bytes += o.Size
	}
	if job.Error != nil {
		r.Error = reasonOf(job.Error)
	}
	return r
}
