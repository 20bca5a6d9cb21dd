package records

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Events is the stream in which every job's turns are told, and EventsKept about how many of them are kept.
const (
	Events     = "hourglass:{fleet}:events"
	EventsKept = 10_000
)

// Publish adds an entry, names and values in turn, to a stream, of which about the last kept entries stay. A repetition
// adds another one.
func (s *Store) Publish(ctx context.Context, stream string, kept int64, entry []string) error {
	err := s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: stream, MaxLen: kept, Approx: true, Values: entry}).Err()
	if err != nil {
		return fmt.Errorf("add to stream %s: %w", stream, err)
	}
	return nil
}
