package magichourtest

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// The statuses that the API publishes, but for draft.
const (
	queued    = "queued"
	rendering = "rendering"
	complete  = "complete"
	failed    = "error"
	canceled  = "canceled"
)

// A project is one render that was paid for.
type project struct {
	id       string
	seq      int // from 1
	op       operations.Operation
	request  json.RawMessage
	fields   requestFields
	outputs  int // that the request asks for
	created  time.Time
	behavior Behavior
	takes    time.Duration // from create to complete, unless the behavior says otherwise

	charged    int
	started    bool
	final      string // the status it ended in
	deleted    bool
	gets       int // all of them
	doneGets   int // those that found it complete
	spoiled    int // media bodies that the behavior has spoiled
	downloaded map[string]int
}

// requestFields are those that come back in the project, or that decide what it costs.
type requestFields struct {
	Name         *string `json:"name"`
	StartSeconds float64 `json:"start_seconds"`
	EndSeconds   float64 `json:"end_seconds"`
	OutputFormat string  `json:"output_format"`
}

// price is made up, but has the shape of the real one: videos by the second, images by
// the piece.
func (p *project) price() int {
	switch p.op.Kind {
	case operations.Video:
		seconds := math.Ceil(p.fields.EndSeconds - p.fields.StartSeconds)
		return 10 * int(min(max(1, seconds), 3600))
	case operations.Image:
		return 5 * p.outputs
	default:
		return 3
	}
}

// finalPrice is what a complete project costs. For a video the first price was an
// estimate, and the fake always finds that it was too high.
func (p *project) finalPrice() int {
	if p.op.Kind == operations.Video {
		return p.charged - p.charged/10
	}
	return p.charged
}

// startsAt is when rendering begins.
func (p *project) startsAt() time.Time {
	// A fifth of the way is a guess; nothing is published about queueing.
	wait := cmp.Or(time.Duration(p.behavior.Queued), p.total()/5)
	return p.created.Add(max(wait, p.veiledFor()))
}

// endsAt is when the project ends, one way or another.
func (p *project) endsAt() time.Time {
	return p.created.Add(max(time.Duration(p.behavior.Queued), p.total(), p.veiledFor()))
}

func (p *project) total() time.Duration {
	return cmp.Or(time.Duration(p.behavior.Render), p.takes)
}

// veiledFor is how long the behavior's own status is shown: until then nothing happens.
func (p *project) veiledFor() time.Duration {
	if p.behavior.Status == "" {
		return 0
	}
	return cmp.Or(time.Duration(p.behavior.StatusFor), 100*365*24*time.Hour)
}

func (p *project) status(now time.Time) string {
	switch {
	case p.final != "":
		return p.final
	case now.Before(p.created.Add(p.veiledFor())):
		return p.behavior.Status
	case p.started:
		return rendering
	default:
		return queued
	}
}

// outcome is the status that the project will end in.
func (p *project) outcome() string {
	switch {
	case p.behavior.Canceled:
		return canceled
	case p.behavior.Error != "":
		return failed
	default:
		return complete
	}
}

// A Project is what the fake knows of a project.
type Project struct {
	ID         string          `json:"id"`
	Operation  string          `json:"operation"`
	Kind       string          `json:"kind"`
	Name       string          `json:"name"`
	Status     string          `json:"status"`
	CreatedAt  time.Time       `json:"created_at"`
	Credits    int             `json:"credits_charged"`
	Deleted    bool            `json:"deleted"`
	Gets       int             `json:"gets"`       // of the project, those answered 404 included
	Downloaded map[string]int  `json:"downloaded"` // downloads begun, by URL path
	Request    json.RawMessage `json:"request"`    // the body it was created with
}

// Projects returns every project that was charged, deleted ones included, as created.
func (s *Server) Projects() []Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	all := make([]Project, len(s.ordered))
	for i, p := range s.ordered {
		all[i] = p.snapshot(s.options.Now())
	}
	return all
}

// Project returns the project with that id, and whether there is one.
func (s *Server) Project(id string) (Project, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	p, ok := s.projects[id]
	if !ok {
		return Project{}, false
	}
	return p.snapshot(s.options.Now()), true
}

func (p *project) snapshot(now time.Time) Project {
	downloaded := maps.Clone(p.downloaded)
	return Project{
		ID: p.id, Operation: p.op.Name, Kind: string(p.op.Kind), Name: *p.fields.Name,
		Status: p.status(now), CreatedAt: p.created, Credits: p.charged, Deleted: p.deleted,
		Gets: p.gets, Downloaded: downloaded, Request: slices.Clone(p.request),
	}
}
