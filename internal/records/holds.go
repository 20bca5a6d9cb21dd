package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const holds = "hourglass:{fleet}:holds"

// Holds returns what holds the stages of the fleet back, by name.
func (s *Store) Holds(ctx context.Context) (map[string]string, error) {
	found, err := s.rdb.HGetAll(ctx, holds).Result()
	if err != nil {
		return nil, fmt.Errorf("look for holds: %w", err)
	}
	return found, nil
}

// Hold writes down what holds a stage back, unless it stands there already, and reports whether it is
// new. May be repeated.
func (s *Store) Hold(ctx context.Context, name string, data []byte) (isNew bool, err error) {
	isNew, err = s.rdb.HSetNX(ctx, holds, name, data).Result()
	if err != nil {
		return false, fmt.Errorf("hold %s: %w", name, err)
	}
	return isNew, nil
}

var release = redis.NewScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
`)

// Release takes a hold away, unless it is not the one that was seen, and reports whether it did. May be
// repeated.
func (s *Store) Release(ctx context.Context, name, seen string) (bool, error) {
	n, err := release.Run(ctx, s.rdb, []string{holds}, name, seen).Int()
	if err != nil {
		return false, fmt.Errorf("release %s: %w", name, err)
	}
	return n == 1, nil
}

// Leased reports whether some worker holds the lease of an active task of Asynq. It reads Asynq's own
// key: its inspector tells of leases only for whole lists, and not of entries that have none at all.
func (s *Store) Leased(ctx context.Context, queue, task string) (bool, error) {
	until, err := s.rdb.ZScore(ctx, "asynq:{"+queue+"}:lease", task).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the lease of task %s: %w", task, err)
	}
	now, err := s.rdb.Time(ctx).Result()
	if err != nil {
		return false, fmt.Errorf("look at the lease of task %s: %w", task, err)
	}
	return int64(until) > now.Add(-leaseGrace).Unix(), nil
}

// leaseGrace is for how long after its end a lease counts: Asynq takes such a task back within two
// minutes, by clocks that need not agree.
const leaseGrace = 3 * time.Minute
