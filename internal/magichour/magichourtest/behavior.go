package magichourtest

import (
	"fmt"
	"net/http"
	"time"
)

// A Behavior is how one project goes. The zero value goes well. Counts are of GETs of that
// project: the first so many; a negative count means all of them.
type Behavior struct {
	// Error is the code that the render fails with, such as "no_source_face".
	Error string `json:"error,omitempty"`
	// Canceled lets the render end canceled, by a person in the web app.
	Canceled bool `json:"canceled,omitempty"`

	// Status is shown from the start in place of the real one ("draft", or one that nobody
	// has heard of), for StatusFor, and until then nothing else happens. StatusFor 0: for ever.
	Status    string   `json:"status,omitempty"`
	StatusFor Duration `json:"status_for,omitempty"`

	// Render is the time from create to the end, and Queued the part of it before rendering
	// begins. 0: as the options say, and a fifth of it. Never scaled.
	Render Duration `json:"render,omitempty"`
	Queued Duration `json:"queued,omitempty"`

	// MissingGets answers the first GETs after the create with 404, as a replica does that lags.
	MissingGets int `json:"missing_gets,omitempty"`
	// EmptyGets shows no downloads at the first GETs that find the project complete.
	EmptyGets int `json:"empty_gets,omitempty"`
	// LateGets shows one output too few at the next so many of those.
	LateGets int `json:"late_gets,omitempty"`
	// ChangeAfter shows, after so many GETs that found the project complete, another set of
	// outputs: other paths, and one more. 0: never.
	ChangeAfter int `json:"change_after,omitempty"`

	// Outputs is how many files are made, whatever was asked for. 0: as asked for.
	Outputs int `json:"outputs,omitempty"`
	// OutputSize is the size of each in bytes. 0: as the options say.
	OutputSize int64 `json:"output_size,omitempty"`

	// Body spoils the way in which files are sent, BodyTimes downloads long. 0: all of them.
	Body      Body `json:"body,omitempty"`
	BodyTimes int  `json:"body_times,omitempty"`
	// BreakAt is the byte of what is sent at which a body breaks off that does. 0: in the middle.
	BreakAt int `json:"break_at,omitempty"`
	// Edition gives the files other bytes at the same paths, and another ETag.
	Edition int `json:"edition,omitempty"`
	// Rate is for a slow body, in bytes per second. Default: 1000.
	Rate int `json:"rate,omitempty"`

	// DeletedAs is the answer after a DELETE: "404" or "disabled". Empty: as the options say.
	DeletedAs DeletedAs `json:"deleted_as,omitempty"`
	// DeleteStatus refuses every DELETE with this status, 422 or 403.
	DeleteStatus int `json:"delete_status,omitempty"`
}

// A Body is a way of sending a file.
type Body string

// The ways. The default, the empty one, is to send all of it with its length. One that
// breaks off does so in the middle, or at Behavior.BreakAt.
const (
	Truncated Body = "truncated" // Content-Length says more than is sent
	Chunked   Body = "chunked"   // all is sent, but without Content-Length
	Cut       Body = "cut"       // chunked, and the connection breaks off
	Short     Body = "short"     // half of it, no length, and a clean end: nothing tells
	Slow      Body = "slow"      // all is sent, at Behavior.Rate
	Stalled   Body = "stalled"   // stands still in the middle until Server.Release
)

// A Duration is a time.Duration that is text in JSON: "1.5s".
type Duration time.Duration

// MarshalText writes "1.5s".
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// check refuses what would be ignored in silence.
func (b Behavior) check() error {
	switch b.Body {
	case "", Truncated, Chunked, Cut, Short, Slow, Stalled:
	default:
		return fmt.Errorf("unknown body %q", b.Body)
	}
	switch b.DeletedAs {
	case "", Gone, Disabled:
	default:
		return fmt.Errorf("unknown deleted_as %q: want %q or %q", b.DeletedAs, Gone, Disabled)
	}
	if s := b.DeleteStatus; s != 0 && (s < 400 || s > 599) {
		return fmt.Errorf("delete_status %d: want an error status, such as %d", s, http.StatusUnprocessableEntity)
	}
	if b.OutputSize < 0 || b.Outputs < 0 || b.Rate < 0 || b.BreakAt < 0 {
		return fmt.Errorf("outputs, output_size, rate and break_at can't be negative")
	}
	return nil
}

// SetDefaultBehavior sets that of every project made from now on.
func (s *Server) SetDefaultBehavior(b Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behavior = b
}

// Script gives the next projects to be made one behavior each, in that order, in place of
// the default. A directive in a project's name is applied on top.
func (s *Server) Script(behaviors ...Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, behaviors...)
}

// SetBehavior changes how a project goes from now on, and tells whether there is such a
// project. One that has ended keeps its outcome.
func (s *Server) SetBehavior(id string, b Behavior) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	p, ok := s.projects[id]
	if ok {
		p.behavior = b
		s.plan(p)
	}
	return ok
}
