package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// Version is the version of the payloads and of the record that this package writes.
const Version = 1

// A Payload is the body of one kind of task. Its type is the declaration of the task: to add a
// stage, add a type with these methods and a method in package pipeline.
type Payload interface {
	// Stage names the stage that handles the task. Tasks already in Redis are routed by it,
	// so it never changes, and none is a prefix of another: asynq routes by prefix.
	Stage() Stage

	// Options says how the queue treats the task. The task id among them makes enqueueing
	// idempotent: the same step of the same job exists once.
	Options() []asynq.Option

	// Head returns what all payloads have in common.
	Head() Header
}

// A Stage is one of the four steps of the pipeline. Each has a queue and a task type.
type Stage string

// The stages, in the order of the road.
const (
	StageCreate   Stage = "create"
	StagePoll     Stage = "poll"
	StageDownload Stage = "download"
	StageCleanup  Stage = "cleanup"
)

// StageNotify stands beside the road: it tells callers what has become of their jobs, so that a receiver that does not
// answer is in nobody's way.
const StageNotify Stage = "notify"

// Stages lists the stages in the order of the road.
func Stages() []Stage { return []Stage{StageCreate, StagePoll, StageDownload, StageCleanup} }

// Served lists all that workers serve: the stages, and StageNotify.
func Served() []Stage { return append(Stages(), StageNotify) }

// Queue is the name of the stage's queue in Asynq.
func (s Stage) Queue() string { return "hourglass-" + string(s) }

// Type is the type of the stage's tasks.
func (s Stage) Type() string { return "hourglass:" + string(s) }

// Header is what all payloads have in common.
type Header struct {
	V         int    `json:"v"` // Version; a worker refuses one that it does not know
	JobID     string `json:"job_id"`
	Epoch     int    `json:"epoch"`     // from 1; a task of another epoch than its job's does nothing
	Operation string `json:"operation"` // beyond create, for the eyes of whoever watches the dashboard

	Trace Trace `json:"-"` // carried in the headers of the task
}

// Head returns the header itself.
func (h Header) Head() Header { return h }

// taskID names a step of a job. Ids of the first epoch carry no suffix.
func (h Header) taskID(step string) string {
	id := h.JobID + ":" + step
	if h.Epoch > 1 {
		id += "~" + strconv.Itoa(h.Epoch)
	}
	return id
}

// Create asks the API to make the project of a job: the purchase.
type Create struct {
	Header
	Body       json.RawMessage `json:"body"` // of the API's operation
	JobOptions Options         `json:"options"`
	CreatedAt  time.Time       `json:"created_at"`
}

// Poll asks once whether a render has finished. N counts the polls of a job from 1 and fences
// them: a poll whose N is not the record's is stale and does nothing.
type Poll struct {
	Header
	ProjectID string `json:"project_id"`
	N         int    `json:"poll"`
	Status    string `json:"status,omitempty"` // what the poll before this one saw
}

// Download copies the outputs of a complete render into the store.
type Download struct {
	Header
	ProjectID string `json:"project_id"`
}

// Cleanup proves the copies once more and deletes the remote project.
type Cleanup struct {
	Header
	ProjectID string `json:"project_id"`
}

// Notification tells a Notice, by one way.
type Notification struct {
	Header
	Notice string `json:"notice"` // its id
	To     Way    `json:"to"`
	Again  int    `json:"again,omitempty"` // see Unsent
}

// Stage returns StageNotify.
func (*Notification) Stage() Stage { return StageNotify }

// Stage returns StageCreate.
func (*Create) Stage() Stage { return StageCreate }

// Stage returns StagePoll.
func (*Poll) Stage() Stage { return StagePoll }

// Stage returns StageDownload.
func (*Download) Stage() Stage { return StageDownload }

// Stage returns StageCleanup.
func (*Cleanup) Stage() Stage { return StageCleanup }

// The queue's own limit of retries stands far above what the give-up time allows: the pipeline ends a
// job itself, and says why. Otherwise asynq would archive a task at its limit even where
// the error costs no attempt, and without a word to the record.
const (
	createRetries = 10_000
	paidRetries   = 2_000
)

// Options of a create let the upload of its inputs take as long as it makes progress; its reads and writes, and
// the request itself, have their own limits.
func (p *Create) Options() []asynq.Option {
	return options(StageCreate, p.taskID("create"), createRetries, 24*time.Hour)
}

// Options of a poll allow for one request.
func (p *Poll) Options() []asynq.Option {
	return options(StagePoll, p.taskID("poll:"+strconv.Itoa(p.N)), paidRetries, 2*time.Minute)
}

// copyTimeout lets what reads whole files take as long as it makes progress; the reads have their own limit.
const copyTimeout = 24 * time.Hour

// Options of a download let it copy as many files, and as large ones, as there are.
func (p *Download) Options() []asynq.Option {
	return options(StageDownload, p.taskID("download"), paidRetries, copyTimeout)
}

// Options of a cleanup let it prove as much as a download may copy: some stores must be read for that.
func (p *Cleanup) Options() []asynq.Option {
	return options(StageCleanup, p.taskID("cleanup"), paidRetries, copyTimeout)
}

// Options of a notification allow for one call. Its id has no epoch: a notice stays to be told, whatever becomes of the
// job.
func (p *Notification) Options() []asynq.Option {
	id := p.JobID + ":notify:" + p.Notice + ":" + string(p.To)
	if p.Again > 0 {
		id += "~" + strconv.Itoa(p.Again)
	}
	return options(StageNotify, id, createRetries, time.Minute)
}

func options(s Stage, id string, retries int, timeout time.Duration) []asynq.Option {
	return []asynq.Option{asynq.Queue(s.Queue()), asynq.TaskID(id), asynq.MaxRetry(retries), asynq.Timeout(timeout)}
}

// Job makes the record of the job that a bare task asks for.
func (p *Create) Job() (*Job, error) {
	job, err := NewJob(Request{ID: p.JobID, Operation: p.Operation, Body: p.Body, Options: p.JobOptions}, p.CreatedAt)
	if err == nil {
		job.Epoch, job.Trace = p.Epoch, p.Trace
	}
	return job, err
}

// TaskID returns the id of a payload's task.
func TaskID(p Payload) string {
	for _, o := range p.Options() {
		if o.Type() == asynq.TaskIDOpt {
			return o.Value().(string)
		}
	}
	return ""
}

// NewTask makes the task of a payload.
func NewTask(p Payload) (*asynq.Task, error) {
	body, err := encode(p)
	if err != nil {
		return nil, err
	}
	return asynq.NewTaskWithHeaders(p.Stage().Type(), body, p.Head().Trace.Headers(), p.Options()...), nil
}

// encode writes compact JSON as it will be shown: without a newline, and with < and & as they are.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Decode reads the payload of a task. A task of no stage, of a version that this package does
// not know, or without what every payload needs, is an error that says so. Unknown fields are
// tolerated.
func Decode(task *asynq.Task) (Payload, error) {
	p, err := blank(task.Type(), Header{Trace: traceOf(task.Headers())})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(task.Payload(), p); err != nil {
		return nil, fmt.Errorf("%w of %s: %w", ErrPayload, task.Type(), err)
	}
	if err := p.Head().check(); err != nil {
		return nil, fmt.Errorf("%w of %s: %w", ErrPayload, task.Type(), err)
	}
	return p, nil
}

// ErrPayload says that a task is not one of ours, or is broken.
var ErrPayload = errors.New("payload")

func blank(taskType string, h Header) (Payload, error) {
	for _, p := range []Payload{&Create{Header: h}, &Poll{Header: h}, &Download{Header: h}, &Cleanup{Header: h}, &Notification{Header: h}} {
		if p.Stage().Type() == taskType {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: no stage handles tasks of type %q", ErrPayload, taskType)
}

// ErrVersion says that a payload or a record was written by a later version of Hourglass. It is
// not broken: a newer worker can read it.
var ErrVersion = errors.New("written by a later version of Hourglass: upgrade this one")

func (h Header) check() error {
	switch {
	case h.V > Version:
		return fmt.Errorf("version %d: %w", h.V, ErrVersion)
	case h.V < 1:
		return fmt.Errorf("v: want %d", Version)
	case h.Epoch < 1:
		return errors.New("epoch: must be at least 1")
	}
	return CheckID(h.JobID)
}
