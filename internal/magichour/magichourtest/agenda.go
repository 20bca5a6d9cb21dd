package magichourtest

import (
	"container/heap"
	"time"
)

// An agenda is a heap of the moments at which projects may have something to settle, the
// soonest first. It stands for the timers that the fake doesn't have.
type agenda []moment

type moment struct {
	at      time.Time
	project *project
}

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }

// Push and Pop are for package heap.
func (a *agenda) Push(x any) { *a = append(*a, x.(moment)) }

// Pop removes the last one.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	m := (*a)[last]
	*a = (*a)[:last]
	return m
}

// plan notes when a project has to be looked at next; it has to be called again when its
// behavior changes. A moment too many does no harm.
func (s *Server) plan(p *project) {
	switch {
	case p.final != "" || p.deleted:
	case p.started:
		heap.Push(&s.agenda, moment{p.endsAt(), p})
	default:
		heap.Push(&s.agenda, moment{p.startsAt(), p})
	}
}

// settle lets happen what is due by the clock: starts, ends, refunds and the events that
// tell of them. Whoever reads projects or credits calls it first.
func (s *Server) settle() {
	now := s.options.Now()
	for len(s.agenda) > 0 && !s.agenda[0].at.After(now) {
		p := heap.Pop(&s.agenda).(moment).project
		if s.advance(p, now) {
			s.plan(p)
		}
	}
}

// advance takes a project one step further, if that is due, and tells whether there is
// more to come.
func (s *Server) advance(p *project, now time.Time) bool {
	switch {
	case p.final != "" || p.deleted:
		return false
	case !p.started && !p.startsAt().After(now):
		p.started = true
		s.announce(p, "started", p.startsAt())
	case p.started && !p.endsAt().After(now):
		s.end(p)
		return false
	}
	return true
}

func (s *Server) end(p *project) {
	p.final = p.outcome()
	due := 0
	if p.final == complete {
		due = p.finalPrice()
	}
	s.refund(p, p.charged-due)
	switch p.final {
	case complete:
		s.announce(p, "completed", p.endsAt())
	case failed:
		s.announce(p, "errored", p.endsAt())
	}
}

func (s *Server) refund(p *project, credits int) {
	p.charged -= credits
	s.credits += credits
	s.ledger.totals.Refunded += credits
}
