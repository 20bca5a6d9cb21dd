package pipeline

import (
	"sync"
	"time"
)

// A seldom lets the same words pass once a minute, and counts those that it holds back: when
// something outside is away, every task of every job has the same to say of it.
type seldom struct {
	mu   sync.Mutex
	said map[string]*saying
}

type saying struct {
	at   time.Time
	held int
}

const (
	sayAgainAfter = time.Minute
	rememberWords = 100
)

// pass reports whether the words are to be said now, and how often they were not since the last
// time.
func (s *seldom) pass(words string, now time.Time) (held int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, found := s.said[words]
	if found && now.Sub(last.at) < sayAgainAfter {
		last.held++
		return 0, false
	}
	if s.said == nil || len(s.said) >= rememberWords {
		s.said = map[string]*saying{}
	}
	s.said[words] = &saying{at: now}
	if found {
		held = last.held
	}
	return held, true
}
