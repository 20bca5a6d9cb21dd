package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/callback"
	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A notice is in the record from the save that it is about, see tasks.Unsent, and stays there until it is told. Until
// then the job has a deadline, also one that has ended, so that the sweeper makes good what is lost: a task, a worker
// between the save and the task, a client that has canceled.

const (
	tellFor      = 24 * time.Hour // after which a notice is given up
	tellAtLeast  = 5 * time.Second
	tellAtMost   = time.Hour
	hostIsBusy   = 2 * time.Second
	streamKept   = 100_000 // entries of a stream that a job names, about
	noticeLength = 200     // characters of a reason that go into the record
)

// CallBy lets s post notices to URLs. It is called before Serve.
func (p *Pipeline) CallBy(s *callback.Sender) { p.callbacks = s }

// publish adds notices to the stream of the fleet. One that can't be added is missing there: a caller that must not
// miss any has its jobs name whom to tell.
func (p *Pipeline) publish(ctx context.Context, notices []tasks.Notice) {
	for _, n := range notices {
		entry, err := n.Entry()
		if err == nil {
			err = p.records.Publish(ctx, records.Events, records.EventsKept, entry)
		}
		if err != nil {
			p.log.WarnContext(ctx, "the stream of the fleet misses an event", "job", n.Job.ID, "type", n.Type, "reason", err)
		}
	}
}

// notifyAll makes sure that the tasks exist which tell what is to be told. What fails here is made good by the sweeper.
func (p *Pipeline) notifyAll(ctx context.Context, job *tasks.Job) {
	for _, n := range job.Notifications() {
		task, err := tasks.NewTask(n)
		if err == nil {
			_, err = p.queue.EnqueueContext(ctx, task)
		}
		if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
			p.log.WarnContext(ctx, "a notice waits for the sweeper", "job", job.ID, "task", tasks.TaskID(n), "reason", err)
		}
	}
}

// sweepNotices sees to it that what is to be told of a job has tasks that will do so.
func (p *Pipeline) sweepNotices(ctx context.Context, r *record) error {
	for _, payload := range r.job.Notifications() {
		n, _ := payload.(*tasks.Notification)
		if err := p.sweepNotice(ctx, r, n); err != nil {
			return err
		}
	}
	p.notifyAll(ctx, r.job)
	return nil
}

// sweepNotice looks at the task that holds the id of a notification. One that was archived, by hand or by the queue, is
// given up; one that nobody holds, and nobody takes back, is followed by one of another id.
func (p *Pipeline) sweepNotice(ctx context.Context, r *record, n *tasks.Notification) error {
	info, err := p.inspector.GetTaskInfo(n.Stage().Queue(), tasks.TaskID(n))
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	notice, left := r.job.ToTell(n.Notice, n.To)
	switch {
	case !left:
		return nil
	case info.State == asynq.TaskStateArchived:
		return p.leaveUntold(ctx, r, notice, n.To, "its task was archived: "+info.LastErr)
	case info.State != asynq.TaskStateActive:
		return nil
	}
	leased, err := p.records.Leased(ctx, info.Queue, info.ID)
	if leased || err != nil {
		return err
	}
	_, err = p.update(ctx, r, func(job *tasks.Job) outcome {
		job.TellAgain(n.Notice)
		return outcome{}
	})
	return err
}

// notify tells one notice by one way. What was told already is not there any more.
func (p *Pipeline) notify(ctx context.Context, n *tasks.Notification) error {
	r, err := p.load(ctx, n.JobID)
	if errors.Is(err, records.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	notice, left := r.job.ToTell(n.Notice, n.To)
	if !left {
		return nil
	}
	showTask(ctx, n, r.job)
	err = p.tell(ctx, r.job, notice, n.To)
	var busy *setback
	switch {
	case err == nil:
		p.observer.Notified(n.To, Sent)
		_, err = p.update(ctx, r, func(job *tasks.Job) outcome {
			job.Told(n.Notice, n.To)
			return outcome{}
		})
		return err
	case ctx.Err() != nil:
		return &setback{class: again, after: time.Second, text: "the worker stopped"}
	case errors.As(err, &busy) && p.now().Sub(notice.Timestamp) < tellFor:
		return busy
	}
	return p.notTold(ctx, r, notice, n.To, err)
}

// notTold decides when a notice is tried again, or that it is not any more. The time since the notice was made is all
// that counts, so that nothing has to be remembered: each try comes after half as long again.
func (p *Pipeline) notTold(ctx context.Context, r *record, notice tasks.Notice, way tasks.Way, why error) error {
	age := p.now().Sub(notice.Timestamp)
	if age < tellFor && !errors.Is(why, callback.ErrRefused) && !errors.Is(why, callback.ErrGone) {
		p.observer.Notified(way, Retried)
		after := min(max(age/2, tellAtLeast), tellAtMost)
		var answer *callback.Answer
		if errors.As(why, &answer) {
			after = min(max(after, answer.RetryAfter), tellAtMost)
		}
		return &setback{class: transient, after: after, text: why.Error()}
	}
	if err := p.leaveUntold(ctx, r, notice, way, why.Error()); err != nil {
		return err
	}
	return archived("given up: " + why.Error() + "; run the task to try once more")
}

// leaveUntold gives a notice up, and says so where people look.
func (p *Pipeline) leaveUntold(ctx context.Context, r *record, notice tasks.Notice, way tasks.Way, why string) error {
	p.observer.Notified(way, GivenUp)
	age := p.now().Sub(notice.Timestamp).Round(time.Second)
	p.log.ErrorContext(ctx, "notice given up", "job", r.job.ID, "type", notice.Type, "to", receiver(r.job, way), "age", age.String(), "reason", why)
	_, err := p.update(ctx, r, func(job *tasks.Job) outcome {
		giveUpTelling(job, notice, way, why)
		return outcome{}
	})
	return err
}

func giveUpTelling(job *tasks.Job, notice tasks.Notice, way tasks.Way, why string) {
	if runes := []rune(why); len(runes) > noticeLength {
		why = string(runes[:noticeLength])
	}
	job.GiveUpTelling(notice.ID, way)
	if w := fmt.Sprintf("the notice %s could not be delivered to %s: %s", notice.Type, receiver(job, way), why); !slices.Contains(job.Warnings, w) {
		job.Warnings = append(job.Warnings, w)
	}
}

// receiver names who is to be told, without what may be secret in a URL.
func receiver(job *tasks.Job, way tasks.Way) string {
	to := job.Options.Notify
	switch {
	case way == tasks.WayURL:
		if u, err := url.Parse(to.URL); err == nil {
			return u.Scheme + "://" + u.Host
		}
	case way == tasks.WayTask && to.Task != nil:
		return "task " + to.Task.Queue + "/" + to.Task.Type
	case way == tasks.WayStream:
		return "stream " + to.Stream
	}
	return string(way)
}

// tell does the one thing outside.
func (p *Pipeline) tell(ctx context.Context, job *tasks.Job, notice tasks.Notice, way tasks.Way) error {
	to := job.Options.Notify
	switch {
	case way == tasks.WayURL:
		return p.call(ctx, to.URL, notice)
	case way == tasks.WayTask && to.Task != nil:
		return p.pass(ctx, job, to.Task, notice)
	case way == tasks.WayStream:
		entry, err := notice.Entry()
		if err != nil {
			return err
		}
		return p.records.Publish(ctx, to.Stream, streamKept, entry)
	}
	return fmt.Errorf("no way %q: %w", way, callback.ErrRefused)
}

// pass enqueues the caller's own task, whose id is that of the notice.
func (p *Pipeline) pass(ctx context.Context, job *tasks.Job, to *tasks.NotifyTask, notice tasks.Notice) error {
	text, err := notice.Encode()
	if err != nil {
		return err
	}
	task := asynq.NewTaskWithHeaders(to.Type, text, job.Trace.Headers(), asynq.Queue(to.Queue), asynq.TaskID(notice.ID))
	if _, err = p.queue.EnqueueContext(ctx, task); errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}

// call posts to a URL, unless its host is busy: one that does not answer must not keep all handlers.
func (p *Pipeline) call(ctx context.Context, target string, notice tasks.Notice) error {
	u, err := url.Parse(target)
	if err != nil {
		return callback.ErrRefused
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") // on whatever port
	if !p.hosts.enter(host) {
		// The longer it waits, the more others wait as well: they must not keep Redis busy with asking.
		after := min(max(p.now().Sub(notice.Timestamp)/2, hostIsBusy), tellAtMost)
		return &setback{class: again, after: after, text: "other notices are on their way to " + host}
	}
	defer p.hosts.leave(host)
	text, err := notice.Encode()
	if err != nil {
		return err
	}
	if err := p.callbacks.Send(ctx, target, notice.ID, text, p.now()); err != nil {
		return redacted{err}
	}
	return nil
}

// redacted is an error of which nothing that looks like a secret is printed, and no more than fits into a record: a
// receiver has written part of it.
type redacted struct{ error }

func (r redacted) Error() string {
	text := magichour.Redact(r.error.Error())
	if len(text) > noticeLength {
		text = strings.ToValidUTF8(text[:noticeLength], "") + "…"
	}
	return text
}
func (r redacted) Unwrap() error { return r.error }

// hosts counts the calls that are on their way to each host, by this worker.
type hosts struct {
	most  int // to one host; 0: one
	mu    sync.Mutex
	calls map[string]int
}

func (h *hosts) enter(host string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[host] >= max(h.most, 1) {
		return false
	}
	if h.calls == nil {
		h.calls = map[string]int{}
	}
	h.calls[host]++
	return true
}

func (h *hosts) leave(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[host]--; h.calls[host] == 0 {
		delete(h.calls, host)
	}
}
