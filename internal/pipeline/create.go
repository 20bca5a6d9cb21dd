package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// markLife is how old a mark may be when the request leaves. It is less than the lease of a
// task (30 s), after which another worker may have parked the job.
const markLife = 25 * time.Second

// create buys the project of a job: at most once. The mark is in the record, and on a replica
// where there is one, before the request leaves; whoever finds a mark that is not its own does
// not buy, but parks the job.
func (p *Pipeline) create(ctx context.Context, r *record) (decision, error) {
	if mark := r.job.Mark(); mark != nil {
		return p.parked(mark.Token, "the worker that was creating the project died or lost its lease"), nil
	}
	if p.tooOld(r.job) && !waitsForPerson(r.job.Hold) && p.retried(ctx)+1 >= leastAttempts {
		return nil, stop(codeGaveUp, hintGaveUp(r.job), "not created within %s", p.giveUpAge(r.job))
	}
	if in, err := p.inWindow(ctx, r.job); err != nil || !in {
		return p.within(r.job, p.queued), err
	}
	if err := p.notYetStored(ctx, r.job); err != nil {
		return nil, err
	}
	if stays, err := p.uploadInputs(ctx, r); !stays || err != nil {
		return p.planned, err
	}
	// After the uploads, which may take their time, or have to wait for theirs.
	if err := p.afford(ctx, tasks.StageCreate, r.job, 1); err != nil {
		return nil, err
	}
	token := newToken()
	op, body, err := order(r.job, token, p.now())
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err // the worker is stopping: not the moment to begin a purchase
	}
	markedAt := p.now() // before it is written: the writing may freeze, too
	if err := p.mark(ctx, r, token); err != nil {
		return p.unmarked(ctx, r, token, err)
	}
	// From here on nothing but the client's own limits may end the call: what the API is about to
	// answer is paid for.
	ctx = context.WithoutCancel(ctx)
	created, err := p.api.Create(ctx, op, body, func() error { return p.stillMarked(ctx, r.job.ID, token, markedAt) })
	switch {
	case err == nil:
		return p.planned, p.remember(ctx, r, token, created)
	case certainlyNotCharged(err):
		return p.giveBack(ctx, r, token, err)
	default:
		return p.parked(token, err.Error()), nil
	}
}

// giveBack takes the mark of a purchase back that was certainly not made. Redis may be away just
// now; if the mark stayed, the next handler would have to park a job that cost nothing.
func (p *Pipeline) giveBack(ctx context.Context, r *record, token string, cause error) (decision, error) {
	retried := p.retried(ctx)
	v := classify(tasks.StageCreate, cause)
	decide := p.returned(token, v, retried)
	if refusesRequest(cause) {
		p.dropInputs(ctx, r.job)
	}
	var out outcome
	err := p.patiently(ctx, func(ctx context.Context) (err error) {
		out, err = p.update(ctx, r, decide)
		return err
	})
	p.tellFleet(ctx, tasks.StageCreate, cause)
	p.letOthersPass(ctx, r.job, v, retried)
	return func(*tasks.Job) outcome { return out }, err
}

// newToken names a purchase: 26 letters and digits that nobody can guess.
func newToken() string { return strings.ToLower(rand.Text()) }

// notYetStored refuses to buy what was bought before: a job whose record is lost or has expired,
// but whose files are in the store.
func (p *Pipeline) notYetStored(ctx context.Context, job *tasks.Job) error {
	_, err := p.store.Head(ctx, manifestKey(job))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return stop(codeAlreadyStored, "use the files that are there, or submit the request under another id", "the store holds %s already: this job was done before; nothing was charged", manifestKey(job))
}

// mark records the intent to buy, with a token that only this handler knows.
func (p *Pipeline) mark(ctx context.Context, r *record, token string) error {
	job := r.job.Clone()
	job.State = tasks.Creating
	job.Trace = boughtIn(ctx, job.Trace)
	job.Attempts = append(forget(job.Attempts), tasks.Attempt{Token: token, At: p.now().UTC()})
	return p.saveBy(ctx, r, job, 0, func(data []byte) (string, error) {
		return p.records.SaveDurably(ctx, job.ID, data, r.rev)
	})
}

// keptAttempts bounds the record of a job that is throttled for hours.
const keptAttempts = 32

// forget drops the oldest attempts that provably bought nothing.
func forget(attempts []tasks.Attempt) []tasks.Attempt {
	for i := 0; len(attempts) >= keptAttempts && i < len(attempts); {
		if attempts[i].Outcome == tasks.NotCharged {
			attempts = append(attempts[:i], attempts[i+1:]...)
			continue
		}
		i++
	}
	return attempts
}

// unmarked decides after a mark that was not set, or that may have been: nothing was bought, so
// it is taken back if it is there.
func (p *Pipeline) unmarked(ctx context.Context, r *record, token string, cause error) (decision, error) {
	mine := func() bool { return r.job.Mark() != nil && r.job.Mark().Token == token }
	err := p.patiently(ctx, func(ctx context.Context) error {
		fresh, err := p.load(ctx, r.job.ID)
		if err != nil {
			return err
		}
		*r = *fresh
		if errors.Is(cause, records.ErrConflict) || mine() {
			return nil
		}
		// The mark may still be on its way: at a new revision it comes too late.
		return p.save(ctx, r, r.job.Clone(), 0)
	})
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	switch {
	case mine():
		return p.giveBack(ctx, r, token, cause)
	case errors.Is(cause, records.ErrConflict):
		return p.planned, nil // somebody else has moved the job on
	}
	return nil, cause
}

// errMarkLost says that the purchase was called off at the last moment.
var errMarkLost = errors.New("the mark of this purchase has grown old or is gone: not buying")

// order prepares the request: the caller's body, with uploaded files in the place of objects, and a project
// name that also holds the id and the token by which people and webhooks find the job.
func order(job *tasks.Job, token string, now time.Time) (operations.Operation, json.RawMessage, error) {
	op, known := operations.Lookup(job.Operation)
	if !known {
		return op, nil, stop(codeRefused, "upgrade the workers, then submit the request under a new id", "this worker does not know the operation %q", job.Operation)
	}
	var missing error
	request, err := op.WithAssets(job.Body, func(a operations.Asset) string {
		if _, _, isObject := a.Object(); !isObject {
			return a.Ref
		}
		in, there := uploaded(job, a, now)
		if !there {
			missing = fmt.Errorf("%s: is not uploaded, or its upload is too old by now", a.Path)
		}
		return in.FilePath
	})
	var body map[string]json.RawMessage
	var own struct{ Name string }
	if err := errors.Join(err, json.Unmarshal(request, &body), json.Unmarshal(request, &own)); err != nil {
		return op, nil, stop(codeRefused, "submit the request under a new id", "the body in the record can't be read: %v", err)
	}
	name, err := json.Marshal(projectName(own.Name, job.ID, token))
	if err := errors.Join(missing, err); err != nil {
		return op, nil, err
	}
	body["name"] = name
	request, err = json.Marshal(body)
	return op, request, err
}

func projectName(own, job, token string) string {
	return strings.TrimSpace(own + " " + tasks.Tag(job, token))
}

// stillMarked is the last look before the bytes leave: the mark must be this handler's own, and
// young by both clocks, since the monotonic one stands still while a machine is suspended.
func (p *Pipeline) stillMarked(ctx context.Context, id, token string, markedAt time.Time) error {
	r, err := p.load(ctx, id)
	if err != nil {
		return err
	}
	mark := r.job.Mark()
	if r.job.State != tasks.Creating || mark == nil || mark.Token != token {
		return errMarkLost
	}
	now := p.now()
	if now.Sub(markedAt) > markLife || now.Round(0).Sub(markedAt.Round(0)) > markLife {
		return errMarkLost
	}
	return nil
}

// attach claims a project that was bought for the job, and records it.
func (p *Pipeline) attach(ctx context.Context, r *record, token string, created magichour.Created) error {
	owner, err := p.records.Claim(ctx, created.ID, r.job.ID)
	if err != nil {
		return err
	}
	if owner != r.job.ID {
		_, err := p.update(ctx, r, p.parkedAs(token, codeClaimed, fmt.Sprintf("the API answered with project %s, which belongs to job %s", created.ID, owner)))
		return err
	}
	_, err = p.update(ctx, r, func(job *tasks.Job) outcome {
		if job.State == tasks.Creating && knows(job, created.ID) {
			return p.parkedAs(token, codeClaimed, fmt.Sprintf("the API answered with project %s, which was bought for this job before", created.ID))(job)
		}
		bought(job, token, created, p.now().UTC())
		return p.planned(job)
	})
	return err
}

// remember writes down what was just bought: it must not be forgotten.
func (p *Pipeline) remember(ctx context.Context, r *record, token string, created magichour.Created) error {
	err := p.patiently(ctx, func(ctx context.Context) error { return p.attach(ctx, r, token, created) })
	if err != nil {
		p.log.ErrorContext(ctx, "project bought, but Redis did not take its id: the job will be parked", "job", r.job.ID, "project", created.ID, "reason", err)
	}
	return err
}

// patiently tries again, for about a minute, while Redis may be failing over. It is the one place
// where a handler waits, and it waits for our own memory, never for a render.
func (p *Pipeline) patiently(ctx context.Context, try func(context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	for pause := 500 * time.Millisecond; ; pause *= 2 {
		attempt, cancel := context.WithTimeout(ctx, saveWithin)
		err := try(attempt)
		cancel()
		if err == nil || pause > 32*time.Second {
			return err
		}
		<-p.after(pause)
	}
}
