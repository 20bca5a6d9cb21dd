package records

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Deadlines are kept by the clock of Redis: the clocks of the workers need not agree.

var setDeadline = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
return 1
`)

// SetDeadline says that a job must have moved within d from now. May be repeated.
func (s *Store) SetDeadline(ctx context.Context, job string, d time.Duration) error {
	if err := setDeadline.Run(ctx, s.rdb, []string{deadlines}, job, d.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("set the deadline of job %s: %w", job, err)
	}
	return nil
}

// ClearDeadline forgets the deadline of a job that has ended. May be repeated.
func (s *Store) ClearDeadline(ctx context.Context, job string) error {
	if err := s.rdb.ZRem(ctx, deadlines, job).Err(); err != nil {
		return fmt.Errorf("clear the deadline of job %s: %w", job, err)
	}
	return nil
}

var overdue = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local rows = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 2, #rows, 2 do
  rows[i] = string.format('%.0f', now - rows[i])
end
return rows
`)

// An Overdue job should have moved by now.
type Overdue struct {
	Job string
	By  time.Duration // how long its deadline has passed
}

// Overdue returns up to limit jobs whose deadline has passed, the longest overdue first.
func (s *Store) Overdue(ctx context.Context, limit int) ([]Overdue, error) {
	rows, err := overdue.Run(ctx, s.rdb, []string{deadlines}, limit).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("look for overdue jobs: %w", err)
	}
	late := make([]Overdue, 0, len(rows)/2)
	for i := 0; i+1 < len(rows); i += 2 {
		by, err := time.ParseDuration(rows[i+1] + "ms")
		if err != nil {
			return nil, fmt.Errorf("look for overdue jobs: deadline of %s: %w", rows[i], err)
		}
		late = append(late, Overdue{Job: rows[i], By: by})
	}
	return late, nil
}
