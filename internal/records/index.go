package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// The index finds jobs by their state without looking at every key. It is a hint, and the record
// is the truth: a job enters the set of a state before its record says so, and leaves that of the
// state before afterwards, so a worker that dies leaves it in one place too many and not too few.
// What a failover of Redis loses of it comes back when the job changes its state.

func stateKey(state string) string { return "hourglass:{fleet}:jobs:" + state }

// An Entry is a job in the index.
type Entry struct {
	Job string
	At  Moment // when it came into the state
}

// A Moment is a time on the clock of Redis, in µs.
type Moment int64

// Time is the moment as a time.
func (m Moment) Time() time.Time { return time.UnixMicro(int64(m)).UTC() }

var enter = redis.NewScript(`
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000000 + t[2])
if ARGV[2] == '1' then
  return redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1]) == 1 and now or '0'
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
`)

// Enter puts a job that is about to come into a state in its set, and returns when. May be repeated.
func (s *Store) Enter(ctx context.Context, state, job string) (Moment, error) {
	return s.enter(ctx, state, job, false)
}

// EnsureEntered is Enter for a job that may be there already: then its entry stays as it is, and the
// Moment is 0, at which Exit takes nothing out.
func (s *Store) EnsureEntered(ctx context.Context, state, job string) (Moment, error) {
	return s.enter(ctx, state, job, true)
}

func (s *Store) enter(ctx context.Context, state, job string, onlyNew bool) (Moment, error) {
	at, err := enter.Run(ctx, s.rdb, []string{stateKey(state)}, job, onlyNew).Int64()
	if err != nil {
		return 0, fmt.Errorf("enter job %s as %s: %w", job, state, err)
	}
	return Moment(at), nil
}

// Somebody else may have brought the job back into the state meanwhile: that entry is younger.
var exit = redis.NewScript(`
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at and tonumber(at) <= tonumber(ARGV[2]) then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
`)

// Exit takes a job that has left a state out of its set, unless it came back after the given moment.
// May be repeated.
func (s *Store) Exit(ctx context.Context, state, job string, at Moment) error {
	if err := exit.Run(ctx, s.rdb, []string{stateKey(state)}, job, int64(at)).Err(); err != nil {
		return fmt.Errorf("take job %s out of %s: %w", job, state, err)
	}
	return nil
}

var clearOld = redis.NewScript(`
local t = redis.call('TIME')
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at and tonumber(at) < t[1] * 1000000 + t[2] - ARGV[2] then
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
`)

// Clear takes a job out of the set of a state that its record does not confirm, if it came there
// longer ago than age: a younger one may be about to be saved. May be repeated.
func (s *Store) Clear(ctx context.Context, state, job string, age time.Duration) error {
	if err := clearOld.Run(ctx, s.rdb, []string{stateKey(state)}, job, age.Microseconds()).Err(); err != nil {
		return fmt.Errorf("clear job %s of %s: %w", job, state, err)
	}
	return nil
}

// Latest returns up to limit jobs of a state, the last to come first, beginning with those that
// came at the given moment; 0 is now.
func (s *Store) Latest(ctx context.Context, state string, from Moment, limit int) ([]Entry, error) {
	top := "+inf"
	if from > 0 {
		top = fmt.Sprint(int64(from))
	}
	rows, err := s.rdb.ZRevRangeByScoreWithScores(ctx, stateKey(state), &redis.ZRangeBy{Min: "-inf", Max: top, Count: int64(limit)}).Result()
	if err != nil {
		return nil, fmt.Errorf("list the jobs that are %s: %w", state, err)
	}
	entries := make([]Entry, 0, len(rows))
	for _, row := range rows {
		job, _ := row.Member.(string)
		entries = append(entries, Entry{Job: job, At: Moment(row.Score)})
	}
	return entries, nil
}

// Count returns how many jobs the index has in a state.
func (s *Store) Count(ctx context.Context, state string) (int64, error) {
	n, err := s.rdb.ZCard(ctx, stateKey(state)).Result()
	if err != nil {
		return 0, fmt.Errorf("count the jobs that are %s: %w", state, err)
	}
	return n, nil
}

var forget = redis.NewScript(`
local t = redis.call('TIME')
local before = t[1] * 1000000 + t[2] - ARGV[1]
return redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', before))
`)

// Forget drops the jobs that came into a state longer ago than age: of a state that is an end, their
// records have expired. May be repeated.
func (s *Store) Forget(ctx context.Context, state string, age time.Duration) error {
	if err := forget.Run(ctx, s.rdb, []string{stateKey(state)}, age.Microseconds()).Err(); err != nil {
		return fmt.Errorf("forget old jobs that are %s: %w", state, err)
	}
	return nil
}

// LoadAll returns the records of many jobs in one round trip, in their order; nil stands for a job
// without one.
func (s *Store) LoadAll(ctx context.Context, jobs []string) ([][]byte, error) {
	pipe := s.rdb.Pipeline()
	gets := make([]*redis.StringCmd, len(jobs))
	for i, job := range jobs {
		gets[i] = pipe.HGet(ctx, recordKey(job), "job")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("load %d jobs: %w", len(jobs), err)
	}
	found := make([][]byte, len(jobs))
	for i, get := range gets {
		text, err := get.Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("load job %s: %w", jobs[i], err)
		}
		found[i] = text
	}
	return found, nil
}
