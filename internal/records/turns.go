package records

import (
	"context"
	"fmt"
	"time"
)

func turnKey(name string) string { return "hourglass:{fleet}:" + name }

// Turn reports whether it is the caller's turn to do what the fleet does once in so long a time:
// the first who asks gets it, and no other until that time has passed, whatever becomes of the first.
func (s *Store) Turn(ctx context.Context, name string, every time.Duration) (bool, error) {
	mine, err := s.rdb.SetNX(ctx, turnKey(name), 1, every).Result()
	if err != nil {
		return false, fmt.Errorf("ask for the turn to %s: %w", name, err)
	}
	return mine, nil
}

// GiveTurn gives the turn back: the next who asks gets it. May be repeated.
func (s *Store) GiveTurn(ctx context.Context, name string) error {
	if err := s.rdb.Del(ctx, turnKey(name)).Err(); err != nil {
		return fmt.Errorf("give back the turn to %s: %w", name, err)
	}
	return nil
}
