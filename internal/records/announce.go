package records

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Many jobs are submitted in few round trips: one that announces them, one that writes their records.

// The deadlines come first: from the moment a record exists, the sweeper must find it.
var announce = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local at = now + ARGV[1]
local by, entered = string.format('%.0f', at), {}
for i = 2, #ARGV do
  if redis.call('ZADD', KEYS[1], 'NX', by, ARGV[i]) == 0 and tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i])) < at then
    redis.call('ZADD', KEYS[1], by, ARGV[i])
  end
end
for i = 2, #ARGV do
  local moment = string.format('%.0f', now - (#ARGV - i))
  entered[i - 1] = redis.call('ZADD', KEYS[2], 'NX', moment, ARGV[i]) == 1 and moment or '0'
end
return entered
`)

// Announce says that jobs, whose records are about to be written in a state, must have moved within d, and puts
// them into the set of the state. It returns when each came there: 0, at which Exit takes nothing out, for one
// that was there already and keeps its place. Each comes a microsecond after the one before it, the last one now: a
// list is walked by moments, and a cursor names all jobs of the moment it stands at.
//
// A job may be on the road already: a later deadline stays. An earlier one does not, even if it is of no more use
// than to be swept away: a sweeper that is about to clear it must find that it has changed. May be repeated.
func (s *Store) Announce(ctx context.Context, state string, d time.Duration, jobs ...string) ([]Moment, error) {
	args := make([]any, 0, 1+len(jobs))
	args = append(args, d.Microseconds())
	for _, job := range jobs {
		args = append(args, job)
	}
	at, err := announce.Run(ctx, s.rdb, []string{deadlines, stateKey(state)}, args...).Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("announce %s and what comes with it: %w", jobs[0], err)
	}
	entered := make([]Moment, len(at))
	for i := range at {
		entered[i] = Moment(at[i])
	}
	return entered, nil
}

// A Creation is the record of a job that may have none yet, and what came of writing it.
type Creation struct {
	Job  string
	Data []byte

	Rev string
	Err error // as Save has it; ErrConflict if there is one
}

// Create is Save for many records that are not there yet, in one round trip. They don't expire.
//
// It is a transaction and no script, which would cost Redis as much as all the rest of a submission; a cluster knows no
// transaction over all its nodes.
func (s *Store) Create(ctx context.Context, all []*Creation) {
	pipe := s.rdb.TxPipeline()
	data, revs := make([]*redis.BoolCmd, len(all)), make([]*redis.BoolCmd, len(all))
	for i, c := range all {
		c.Rev, c.Err = rand.Text(), nil
		data[i] = pipe.HSetNX(ctx, recordKey(c.Job), "job", c.Data)
		revs[i] = pipe.HSetNX(ctx, recordKey(c.Job), "rev", c.Rev)
	}
	_, err := pipe.Exec(ctx)
	if errors.Is(err, redis.ErrCrossSlot) {
		s.createInCluster(ctx, all)
		return
	}
	for i, c := range all {
		switch failed := errors.Join(data[i].Err(), revs[i].Err()); {
		case redis.HasErrorPrefix(err, "EXECABORT"): // it hides why
			c.Err = fmt.Errorf("save job %s: Redis takes no writes; is it full, or a replica? %w", c.Job, err)
		case failed != nil:
			c.Err = fmt.Errorf("save job %s: %w", c.Job, failed)
		case !data[i].Val() || !revs[i].Val():
			c.Err = ErrConflict
		}
	}
}

func (s *Store) createInCluster(ctx context.Context, all []*Creation) {
	pipe := s.rdb.Pipeline()
	saves := make([]*redis.Cmd, len(all))
	for i, c := range all {
		saves[i] = save.Eval(ctx, pipe, []string{recordKey(c.Job)}, Absent, c.Rev, c.Data, 0)
	}
	_, _ = pipe.Exec(ctx) // each has its own answer
	for i, c := range all {
		saved, err := saves[i].Int()
		switch {
		case err != nil:
			c.Err = fmt.Errorf("save job %s: %w", c.Job, err)
		case saved == 0:
			c.Err = ErrConflict
		}
	}
}

// TaskStates says in which state of Asynq's the tasks of a queue are, in one round trip; empty for one that is not
// there.
func (s *Store) TaskStates(ctx context.Context, queue string, tasks []string) ([]string, error) {
	pipe := s.rdb.Pipeline()
	gets := make([]*redis.StringCmd, len(tasks))
	for i, task := range tasks {
		gets[i] = pipe.HGet(ctx, taskKey(queue, task), "state")
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("look at %d tasks: %w", len(tasks), err)
	}
	states := make([]string, len(tasks))
	for i, get := range gets {
		state, err := get.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("look at task %s: %w", tasks[i], err)
		}
		states[i] = state
	}
	return states, nil
}
