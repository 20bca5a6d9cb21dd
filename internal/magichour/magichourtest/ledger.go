package magichourtest

import (
	"context"
	"slices"
	"time"
)

// An Event is one thing that happened at the fake.
type Event struct {
	Seq     int       `json:"seq"` // from 1, in the order in which things took effect
	At      time.Time `json:"at"`
	Call    Call      `json:"kind"`
	Project string    `json:"project,omitempty"`
	Status  int       `json:"status"` // HTTP status; 0 if there was no answer
	Detail  string    `json:"detail,omitempty"`
}

// Totals are the sums of the ledger.
type Totals struct {
	Creates    int `json:"creates"`    // creates that were charged, answered or not
	Polls      int `json:"polls"`      // GETs of projects, answered or not
	Downloads  int `json:"downloads"`  // downloads begun with 200 or 206
	Uploads    int `json:"uploads"`    // uploads stored
	Deletes    int `json:"deletes"`    // deletes that took effect
	Webhooks   int `json:"webhooks"`   // events sent, every attempt
	Violations int `json:"violations"` // things that a good client never does
	Throttled  int `json:"throttled"`  // calls above Options.Rate
	Charged    int `json:"charged"`    // credits
	Refunded   int `json:"refunded"`   // credits given back, estimates that were too high included
	Credits    int `json:"credits"`    // the balance now
}

// A Ledger is the history of a fake.
type Ledger struct {
	Totals Totals  `json:"totals"`
	Events []Event `json:"events"`
}

// maxEvents bounds the events that are kept: beyond it the older half is forgotten. The
// totals stay exact.
const maxEvents = 1 << 20

type ledger struct {
	totals Totals
	events []Event
	seq    int
	limit  int           // of events kept
	grown  chan struct{} // closed when an event is added, if somebody waits for that
}

// record writes an event down, with the lock held.
func (s *Server) record(e Event) {
	l := &s.ledger
	l.seq++
	e.Seq, e.At = l.seq, s.options.Now().UTC()
	if len(l.events) == l.limit {
		l.events = slices.Delete(l.events, 0, l.limit/2)
	}
	l.events = append(l.events, e)
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
	switch e.Call {
	case Poll:
		l.totals.Polls++
	case Webhook:
		l.totals.Webhooks++
	case Violation:
		l.totals.Violations++
		s.options.Log.Warn("violation", "project", e.Project, "detail", e.Detail)
	}
}

// note records an event, without the lock held.
func (s *Server) note(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(e)
}

// Await waits for an event, past or future, and returns it; or the context's error. It
// spares tests from asking again and again.
func (s *Server) Await(ctx context.Context, match func(Event) bool) (Event, error) {
	seen := 0
	for {
		events, grown := s.waiting(seen)
		for _, e := range events {
			if match(e) {
				return e, nil
			}
			seen = e.Seq
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

// waiting returns the events after a number, and a channel that is closed at the next one.
func (s *Server) waiting(seen int) ([]Event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger.grown == nil {
		s.ledger.grown = make(chan struct{})
	}
	return s.eventsSince(seen), s.ledger.grown
}

// Ledger returns what has happened so far: the totals and the latest million of events.
func (s *Server) Ledger() Ledger {
	return s.LedgerSince(0)
}

// LedgerSince returns the totals and the events after the one with that number.
func (s *Server) LedgerSince(seq int) Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Ledger{s.totals(), s.eventsSince(seq)}
}

func (s *Server) eventsSince(seq int) []Event {
	dropped := s.ledger.seq - len(s.ledger.events)
	from := min(max(0, seq-dropped), len(s.ledger.events))
	return append([]Event{}, s.ledger.events[from:]...)
}

// Totals returns the sums of the ledger.
func (s *Server) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals()
}

func (s *Server) totals() Totals {
	s.settle()
	totals := s.ledger.totals
	totals.Credits = s.credits
	return totals
}
