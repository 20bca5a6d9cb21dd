package tasks

import (
	"encoding/json"
	"slices"
	"time"
)

// A State is where a job stands on its road.
type State string

// The states of a job. Done, Failed and Canceled are terminal; Unknown is parked until a
// person or a webhook tells what became of the purchase.
const (
	Pending   State = "pending"   // accepted, not yet created
	Creating  State = "creating"  // the paid POST is under way, or was when its worker died
	Unknown   State = "unknown"   // the POST may or may not have been charged; parked
	Rendering State = "rendering" // the project exists and is being polled
	Storing   State = "storing"   // the render is complete, its outputs are being copied
	Cleaning  State = "cleaning"  // all copies are proved; the remote project is still to be deleted
	Done      State = "done"
	Failed    State = "failed"
	Canceled  State = "canceled"
)

// States returns every state, in the order of the road.
func States() []State {
	return []State{Pending, Creating, Unknown, Rendering, Storing, Cleaning, Done, Failed, Canceled}
}

// Ended reports whether a job in this state has come to its end.
func (s State) Ended() bool { return s == Done || s == Failed || s == Canceled }

// Settled reports whether there is nothing more to wait for without a person: the job has
// ended, or is parked.
func (s State) Settled() bool { return s.Ended() || s == Unknown }

// Status is what everybody may know of a job. It is what the command line prints as JSON.
type Status struct {
	V              int        `json:"v"` // version of this form: 1
	ID             string     `json:"id"`
	Operation      string     `json:"operation"`
	Kind           string     `json:"kind"` // video, image or audio
	State          State      `json:"state"`
	ProjectID      string     `json:"project_id"` // Magic Hour's id; empty until created
	CreditsCharged int        `json:"credits_charged"`
	Polls          int        `json:"polls"`
	Outputs        []Output   `json:"outputs"` // empty until all are stored and proved
	Remote         *Remote    `json:"remote"`  // what became of the remote project; null until known
	RemoteReason   *string    `json:"remote_reason"`
	Error          *Error     `json:"error"`
	Hold           *Hold      `json:"hold"`
	Warnings       []string   `json:"warnings"`
	ETA            *time.Time `json:"eta"` // when the render is expected to be ready, as of updated_at; null unless rendering
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	StoredAt       *time.Time `json:"stored_at"` // since when the copies may be used
	DoneAt         *time.Time `json:"done_at"`   // when the job ended, whichever way
}

// Remote says what became of the project at Magic Hour.
type Remote string

// The ends of a remote project.
const (
	RemoteDeleted Remote = "deleted"
	RemoteKept    Remote = "kept"    // not deleted, for the reason in RemoteReason
	RemotePending Remote = "pending" // the delete kept failing and is still to be done
)

// An Output is a file of a job in the store, as the store itself confirmed it.
type Output struct {
	N           int    `json:"n"`        // from 1
	Key         string `json:"key"`      // whole key in the bucket or directory
	URL         string `json:"url"`      // s3://bucket/key or file:///path; never signed
	Size        int64  `json:"size"`     // bytes
	Checksum    string `json:"checksum"` // "crc64nvme:" and base64, as S3 writes it
	ContentType string `json:"content_type"`
}

// An Error says why a job failed or is parked, and what to do about it.
type Error struct {
	Stage   string `json:"stage"` // create, poll, download or cleanup
	Code    string `json:"code"`  // the API's error code, or one of ours
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// A Hold says why a job waits though it is not its turn to wait.
type Hold struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
}

// WindowFull is the code of the Hold of a job that waits only because as many projects are rendering as the
// workers allow.
const WindowFull = "window"

// A Job is the record that Hourglass keeps of a job: its status, the request, and the marks by
// which the stages tell what has already happened. Workers change it, and Client does for a person.
type Job struct {
	Status

	Body    json.RawMessage `json:"body"` // canonical
	Options Options         `json:"options"`

	// Epoch fences tasks: one of another epoch does nothing. It is raised whenever a job is
	// put back on the road.
	Epoch int `json:"epoch"`

	// Attempts keeps the token of every purchase that was tried. The last one without an
	// outcome is the mark: its POST is under way, or its outcome is not known.
	Attempts []Attempt `json:"attempts,omitempty"`

	StateAt      time.Time  `json:"state_at,omitzero"`       // since when it is in its state
	RemoteStatus string     `json:"remote_status,omitempty"` // what the last poll saw
	ProjectAt    *time.Time `json:"project_at,omitempty"`    // when the project's id became known
	PolledAt     *time.Time `json:"polled_at,omitempty"`     // when a poll last found the render unready
	QueuedAt     *time.Time `json:"queued_at,omitempty"`     // when a poll last found it queued
	RenderingAt  *time.Time `json:"rendering_at,omitempty"`  // when a poll first found it not queued any more
	MissingSince *time.Time `json:"missing_since,omitempty"` // since when the API does not find the project
	MissingAt    *time.Time `json:"missing_at,omitempty"`    // when it last did not
	Unproved     int        `json:"unproved,omitempty"`      // how often a copy was not what it had been
	Sources      []Source   `json:"sources,omitempty"`       // which remote file is which output
	Orphans      []string   `json:"orphans,omitempty"`       // further projects that turned up for this job
	Earlier      []string   `json:"earlier,omitempty"`       // projects that were followed before a person had it bought anew
	Inputs       []Input    `json:"inputs,omitempty"`        // objects of the caller's that were uploaded for the create
	FreeSince    *time.Time `json:"free_since,omitempty"`    // since when nothing is in its way that a person had to mend; its age counts from then

	Trace Trace `json:"trace,omitzero"` // where its spans belong

	Unsent []Unsent `json:"unsent,omitempty"` // notices that are still to be told

	// Later holds the fields that a later version has written and this one does not know. They
	// are kept when the record is saved. Fields within fields are not: they need a new version.
	Later map[string]json.RawMessage `json:"-"`
}

// A Source ties an output to the path of its URL at Magic Hour. The API promises no order, so
// later answers are matched by path.
type Source struct {
	N        int    `json:"n"`
	Path     string `json:"path"`               // without query: that is where the signature is
	Checksum string `json:"checksum,omitempty"` // of the last proved copy

	// OpenEnded: the media host did not say where the file ends, so whether the copy is whole
	// can't be proved, and the original is kept.
	OpenEnded bool `json:"open_ended,omitempty"`
}

// An Input is an object that the request names, s3://bucket/key, and the file at Magic Hour that the create
// names in its place. The request itself stays as the caller gave it.
type Input struct {
	Ref        string    `json:"ref"`       // as it stands in the request
	Type       string    `json:"type"`      // as which it was uploaded: video, audio or image
	ETag       string    `json:"etag"`      // of the content that was uploaded
	Size       int64     `json:"size"`      // bytes
	Content    string    `json:"content"`   // names content and account: what the fleet remembers the upload by
	FilePath   string    `json:"file_path"` // at Magic Hour
	UploadedAt time.Time `json:"uploaded_at"`
}

// Next returns the payload of the task that moves the job on from where it stands, or nil for
// a job that has ended or is parked.
func (j *Job) Next() Payload {
	h := Header{V: Version, JobID: j.ID, Epoch: j.Epoch, Operation: j.Operation, Trace: j.Trace}
	switch j.State {
	case Pending, Creating:
		return &Create{Header: h, Body: j.Body, JobOptions: j.Options, CreatedAt: j.CreatedAt}
	case Rendering:
		return &Poll{Header: h, ProjectID: j.ProjectID, N: j.Polls, Status: j.RemoteStatus}
	case Storing:
		return &Download{Header: h, ProjectID: j.ProjectID}
	case Cleaning:
		return &Cleanup{Header: h, ProjectID: j.ProjectID}
	}
	return nil
}

// Clone returns a copy that can be changed without changing j. What its pointers point to is
// shared: it is replaced, and never changed in place.
func (j *Job) Clone() *Job {
	c := *j
	c.Outputs = slices.Clone(j.Outputs)
	c.Warnings = slices.Clone(j.Warnings)
	c.Attempts = slices.Clone(j.Attempts)
	c.Sources = slices.Clone(j.Sources)
	c.Orphans = slices.Clone(j.Orphans)
	c.Earlier = slices.Clone(j.Earlier)
	c.Inputs = slices.Clone(j.Inputs)
	c.Unsent = slices.Clone(j.Unsent)
	return &c
}
