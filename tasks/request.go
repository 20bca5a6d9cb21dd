package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// A Request is what a caller asks for, in its general form. NewRequest makes one of a typed body. Its JSON is a line of
// a batch, and what is POSTed to /v1/jobs.
type Request struct {
	// ID is the job's id and the caller's idempotency key: the same request under the same
	// id is one job. Empty: a new, time-ordered one is made. See CheckID for what is allowed.
	ID string `json:"id,omitempty"`

	Operation string          `json:"operation"` // name of the API's operation: "text-to-video"
	Body      json.RawMessage `json:"body"`      // the request body of that operation, an object
	Options   Options         `json:"options,omitzero"`

	bodyErr error // why NewRequest has no Body
}

var (
	// ErrInvalid says that a request would be refused by the API. Nothing was enqueued.
	ErrInvalid = errors.New("invalid request")

	// ErrExists says that the job id is taken by a different request. Nothing was enqueued.
	ErrExists = errors.New("the job id exists with a different request")

	// ErrNotFound says that there is no record of this job, or not any more.
	ErrNotFound = errors.New("no such job")
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// CheckID refuses a job id that is not 1 to 128 letters, digits, dots, underscores or dashes,
// the first one a letter or digit. The id becomes part of object keys.
func CheckID(id string) error {
	if !validID.MatchString(id) {
		return fmt.Errorf("job id %q: want 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit", id)
	}
	return nil
}

// mostWarnings is how many the record holds: a body may be full of what this version does not know.
const mostWarnings = 20

// NewJob makes the record of a request that was accepted at the given time, with a new id if
// the request has none. A request that the API would refuse is an *InvalidError, and so is a bad id.
func NewJob(r Request, at time.Time) (*Job, error) {
	if r.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		r.ID = strings.ReplaceAll(id.String(), "-", "") // Asynqmon's lists cut an id at its first dash
	}
	if err := CheckID(r.ID); err != nil {
		return nil, invalid("id", err)
	}
	if wrong := r.Options.check(); len(wrong) > 0 {
		return nil, &InvalidError{Problems: wrong}
	}
	if r.bodyErr != nil {
		return nil, invalid("body", r.bodyErr)
	}
	op, known := operations.Lookup(r.Operation)
	if !known {
		return nil, invalid("operation", errors.New(operations.Unknown(r.Operation)))
	}
	problems, err := op.Validate(r.Body)
	if err != nil {
		return nil, invalid("body", err)
	}
	body, err := Canonical(r.Body)
	if err != nil {
		return nil, invalid("body", err)
	}
	warnings := []string{}
	for _, p := range problems[:min(len(problems), mostWarnings)] {
		warnings = append(warnings, p.String())
	}
	if more := len(problems) - mostWarnings; more > 0 {
		warnings = append(warnings, fmt.Sprintf("and %d more", more))
	}
	r.Body = body
	return Accepted(r, warnings, at), nil
}

// Accepted makes the record of a request that NewJob has made a job of before, with its id, its canonical body and its
// warnings. It checks nothing.
func Accepted(r Request, warnings []string, at time.Time) *Job {
	op, _ := operations.Lookup(r.Operation)
	at = at.UTC()
	return &Job{
		Status: Status{
			V: Version, ID: r.ID, Operation: r.Operation, Kind: string(op.Kind), State: Pending,
			Outputs: []Output{}, Warnings: warnings, CreatedAt: at, UpdatedAt: at,
		},
		Body:    r.Body,
		Options: r.Options.plain(),
		Epoch:   1,
		StateAt: at,
	}
}

// NewCreate makes the plain task that starts a job, for services that enqueue with Asynq
// alone. The worker writes the record when it first sees the task; a task that is lost before
// that leaves no trace, so services that must not lose a job use Client.Submit instead.
//
// The task has its queue and its id; enqueueing it again is asynq.ErrTaskIDConflict. A traceparent among its headers
// puts the job's spans below that one: propagation.TraceContext{}.Inject(ctx, propagation.MapCarrier(task.Headers())).
func NewCreate(r Request) (*asynq.Task, error) {
	job, err := NewJob(r, time.Now())
	if err != nil {
		return nil, err
	}
	return NewTask(job.Next())
}

// Same reports whether two jobs came from the same request: equal canonical JSON of operation,
// body and options.
func (j *Job) Same(other *Job) bool {
	return j.Operation == other.Operation && bytes.Equal(j.Body, other.Body) && j.Options.equal(other.Options)
}

// Canonical rewrites JSON so that equal values have equal bytes: members sorted, no white
// space, one way to write a number.
func Canonical(text []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("body: more than one JSON value")
	}
	return encode(plain(v))
}

// plain writes numbers one way: 5, 5.0 and 5e0 are the same value. A number that a float64
// can't hold exactly stays as it was written.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if short := strconv.FormatFloat(f, 'f', -1, 64); err == nil && len(short) <= 15 {
			return json.Number(short)
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}
