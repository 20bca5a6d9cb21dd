package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/tasks"
)

// afterItsFailure decides for a task whose job has failed at this very stage. Either its worker died
// after it had saved the failure, and the task still is to be archived; or it was archived, and a person
// has run it again from the dashboard, which asks for what enqueue retry does.
func (p *Pipeline) afterItsFailure(ctx context.Context, r *record, payload tasks.Payload) (outcome, error) {
	reason := reasonOf(r.job.Error)
	again, err := p.wasArchived(payload, r.job.Error)
	if err != nil || !again {
		return outcome{err: archived(reason)}, err
	}
	return p.update(ctx, r, p.within(r.job, func(job *tasks.Job) outcome {
		if err := job.Retry(false, p.now().UTC()); err != nil {
			return outcome{err: archived(reason)}
		}
		return outcome{}
	}))
}

// reasonOf is what the queue is told of a job that has failed: for the eyes of a person, so with what to do.
func reasonOf(e *tasks.Error) string { return withHint(e.Code+": "+e.Message, e.Hint) }

func withHint(text, hint string) string {
	if hint == "" {
		return text
	}
	return text + "; " + hint
}

// lostToArchive is the message of a job whose task Asynq has archived without asking anybody.
func lostToArchive(lastErr string) string { return "its task was archived: " + lastErr }

// archivedByHand is the message of a job whose task a person has archived before it was done.
func archivedByHand(lastErr string) string {
	if lastErr == "" {
		return "somebody archived its task"
	}
	return "somebody archived its task, whose last error was: " + lastErr
}

// wasArchived reports whether the task stood in the archive for this failure: then its last error says so.
func (p *Pipeline) wasArchived(payload tasks.Payload, failure *tasks.Error) (bool, error) {
	info, err := p.inspector.GetTaskInfo(payload.Stage().Queue(), tasks.TaskID(payload))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at task %s: %w", tasks.TaskID(payload), err)
	}
	said := info.LastErr == reasonOf(failure) || info.LastErr == failure.Code+": "+failure.Message // as earlier versions wrote it
	return said || lostToArchive(info.LastErr) == failure.Message || archivedByHand(info.LastErr) == failure.Message, nil
}
