package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	maxEvent     = 1 << 20         // bytes; an event with 16 outputs has about 20 kB
	answerWithin = 8 * time.Second // Magic Hour waits for 10
)

// Webhook returns the handler of Magic Hour's events. An event is no more than a hint: it makes a
// poll run early, or shows which project a parked job has bought; what becomes of a job is
// decided by what a GET says.
//
// It answers 200 when the event needs no repeating, also if it is not ours; 401 to a bad or old
// signature, 413 to a body that is too large, and 503 when the event could not be kept, so
// that it is sent again. The secrets are asked for at every event, so that they can be rotated.
func (p *Pipeline) Webhook(secrets func() ([]string, error), tolerance time.Duration) http.Handler {
	return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		status, word := p.receive(r.Context(), secrets, tolerance, r.Header, http.MaxBytesReader(w, r.Body, maxEvent))
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": word})
	}), answerWithin, `{"status":"not kept: out of time"}`)
}

// receive takes a webhook, and returns the status to answer with, and its word.
func (p *Pipeline) receive(ctx context.Context, secrets func() ([]string, error), tolerance time.Duration, header http.Header, r io.Reader) (int, string) {
	body, err := io.ReadAll(r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "too large"
	case err != nil:
		return http.StatusBadRequest, "cut short"
	}
	known, err := secrets()
	if err != nil {
		p.log.ErrorContext(ctx, "webhook not taken: its secret can't be read", "reason", err)
		return http.StatusServiceUnavailable, "not kept"
	}
	if err := magichour.VerifyWebhook(header, body, known, p.now(), tolerance); err != nil {
		p.logOnce(ctx, slog.LevelWarn, "webhook refused", err.Error(), "reason", err)
		return http.StatusUnauthorized, "refused"
	}
	event, err := magichour.ParseEvent(body)
	if err != nil {
		p.log.DebugContext(ctx, "webhook ignored", "reason", err)
		return http.StatusOK, "ignored"
	}
	if err := p.take(ctx, event); err != nil {
		p.logOnce(ctx, slog.LevelError, "webhook not kept; Magic Hour will send it again", "", "event", event.Type, "project", event.Project, "reason", err)
		return http.StatusServiceUnavailable, "not kept"
	}
	return http.StatusOK, "accepted"
}

// take keeps an event, and then matches it: a create that parks its job does these things in the other
// order, so one of them sees what the other one wrote. Once it is kept it is ours to match,
// whatever fails.
//
// Only a name that carries a tag of our shape can ever match a parked job, so nothing else is kept. A
// project of somebody else who shares the account, and uses Hourglass too, is kept for its day.
func (p *Pipeline) take(ctx context.Context, event magichour.Event) error {
	seen, tagged := sightingOf(event)
	if tagged {
		if err := p.records.Keep(ctx, seen); err != nil {
			return err
		}
	}
	matched, err := p.match(ctx, event, seen, tagged)
	if err != nil {
		p.logOnce(ctx, slog.LevelWarn, "webhook not matched yet", "", "event", event.Type, "project", event.Project, "reason", err)
	}
	p.log.DebugContext(ctx, "webhook", "event", event.Type, "project", event.Project, "tag", seen.Job, "matched", matched)
	return nil
}

// match finds the job that an event is about, and reports whether that knows the project.
func (p *Pipeline) match(ctx context.Context, event magichour.Event, seen records.Sighting, tagged bool) (bool, error) {
	owner, err := p.records.Owner(ctx, event.Project)
	if err != nil {
		return false, err
	}
	if owner != "" {
		if known, err := p.hasten(ctx, owner, event); err != nil || known && !tagged {
			return known, err
		}
	}
	if !tagged {
		return false, nil
	}
	return p.adopt(ctx, seen) // also if there is an owner: its worker may have died between claim and record
}

// hasten makes the waiting poll of a project's job run now, if the event says that there is something
// to see. It reports whether the job knows the project.
//
// The mark comes first: a poll that is under way enqueues the next one and then looks for the
// mark, so either it finds the mark or the next poll is found here.
func (p *Pipeline) hasten(ctx context.Context, owner string, event magichour.Event) (bool, error) {
	if event.Ended() {
		if err := p.records.Wake(ctx, owner); err != nil {
			return false, err
		}
	}
	r, err := p.load(ctx, owner)
	if errors.Is(err, records.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if event.Ended() && r.job.ProjectID == event.Project {
		// First, so that the poll finds it: it tells since when the render was ready.
		if err := p.records.Hear(ctx, r.job.Kind, event.Project, p.now()); err != nil {
			p.log.DebugContext(ctx, "a webhook is not counted", "job", r.job.ID, "reason", err)
		}
		p.pollNow(ctx, r.job)
	}
	return knows(r.job, event.Project), nil
}

// pollNow runs the waiting poll of a job. One that can't be run waits for its time: it may be
// running already, or gone. A job that is held waits as well, unless by trouble: the event says that
// the API is well.
func (p *Pipeline) pollNow(ctx context.Context, job *tasks.Job) {
	if job.State != tasks.Rendering || job.Hold != nil && job.Hold.Code != codeTrouble {
		return
	}
	next := job.Next()
	err := p.inspector.RunTask(next.Stage().Queue(), tasks.TaskID(next))
	p.log.DebugContext(ctx, "poll hastened", "job", job.ID, "task", tasks.TaskID(next), "in_vain", err)
}

// heedWebhooks looks, after a task, at what webhooks have said meanwhile: about the project of a job
// that was just parked, and about one that was just found unfinished.
func (p *Pipeline) heedWebhooks(ctx context.Context, job *tasks.Job) {
	var err error
	switch job.State {
	case tasks.Unknown:
		err = p.adoptKept(ctx, job.ID)
	case tasks.Rendering:
		var woken bool
		if woken, err = p.records.Woken(ctx, job.ID); woken {
			p.pollNow(ctx, job)
		}
	}
	if err != nil {
		p.log.WarnContext(ctx, "what webhooks say was not heeded; the sweeper and the next poll will", "job", job.ID, "reason", err)
	}
}
