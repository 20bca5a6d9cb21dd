package records

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Deadlines are kept by the clock of Redis: the clocks of the workers need not agree.

var setDeadline = redis.NewScript(`
local t = redis.call('TIME')
local at = t[1] * 1000000 + t[2] + ARGV[2]
redis.call('ZADD', KEYS[1], string.format('%.0f', at), ARGV[1])
return 1
`)

// SetDeadline says that a job must have moved within d from now. May be repeated. See Announce for a job that is
// about to be submitted.
func (s *Store) SetDeadline(ctx context.Context, job string, d time.Duration) error {
	if err := setDeadline.Run(ctx, s.rdb, []string{deadlines}, job, d.Microseconds()).Err(); err != nil {
		return fmt.Errorf("set the deadline of job %s: %w", job, err)
	}
	return nil
}

// A Deadline is a moment on the clock of Redis; the zero one is none.
type Deadline string

// Deadline returns the deadline of a job, for ClearDeadline.
func (s *Store) Deadline(ctx context.Context, job string) (Deadline, error) {
	text, err := deadlineOf.Run(ctx, s.rdb, []string{deadlines}, job).Text()
	if err != nil {
		return "", fmt.Errorf("look at the deadline of job %s: %w", job, err)
	}
	return Deadline(text), nil
}

var deadlineOf = redis.NewScript(`
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
return at and string.format('%.0f', tonumber(at)) or ''
`)

// ClearDeadline forgets the deadline of a job that has left the road, unless it is not the one
// that was seen before the job was saved: then somebody has put the job back on the road since.
// May be repeated.
func (s *Store) ClearDeadline(ctx context.Context, job string, seen Deadline) error {
	if err := clearDeadline.Run(ctx, s.rdb, []string{deadlines}, job, string(seen)).Err(); err != nil {
		return fmt.Errorf("clear the deadline of job %s: %w", job, err)
	}
	return nil
}

var clearDeadline = redis.NewScript(`
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at and string.format('%.0f', tonumber(at)) == ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
`)

var overdue = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local rows = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'WITHSCORES', 'LIMIT', ARGV[1], ARGV[2])
local late = {string.format('%.0f', now)}
for i = 1, #rows, 2 do
  late[i + 1] = rows[i]
  late[i + 2] = string.format('%.0f', tonumber(rows[i + 1]))
end
return late
`)

// An Overdue job should have moved by now.
type Overdue struct {
	Job      string
	By       time.Duration // how long its deadline has passed
	Deadline Deadline
}

// Overdue returns up to limit jobs whose deadline has passed, the longest overdue first, without
// the first skip of them.
func (s *Store) Overdue(ctx context.Context, skip, limit int) ([]Overdue, error) {
	rows, err := overdue.Run(ctx, s.rdb, []string{deadlines}, skip, limit).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("look for overdue jobs: %w", err)
	}
	now, err := strconv.ParseInt(rows[0], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("look for overdue jobs: the time: %w", err)
	}
	late := make([]Overdue, 0, len(rows)/2)
	for i := 1; i+1 < len(rows); i += 2 {
		at, err := strconv.ParseInt(rows[i+1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("look for overdue jobs: deadline of %s: %w", rows[i], err)
		}
		late = append(late, Overdue{Job: rows[i], By: time.Duration(now-at) * time.Microsecond, Deadline: Deadline(rows[i+1])})
	}
	return late, nil
}
