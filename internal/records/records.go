// Package records keeps the records of jobs in Redis: the compare-and-set that every change of
// a job goes through, the deadlines by which jobs must have moved, and the claims that tie a
// project of Magic Hour to one job.
//
// It knows bytes and job ids only; what a record says is the business of package tasks.
//
// Keys (none is touched by a script together with one of another slot):
//
//	hourglass:{<job>}:record          hash: "job" the record as JSON, "rev" the revision
//	hourglass:{fleet}:deadlines       sorted set: job id by the time it must have moved, µs
//	hourglass:{fleet}:project:<id>    string: the job that owns this project
//	hourglass:{fleet}:jobs:<state>    sorted set: job id by the time it came into the state, µs
//	hourglass:{fleet}:<name>          string that expires: somebody has taken the turn of this name
//	hourglass:{fleet}:holds           hash: what holds a stage back, as JSON
//	hourglass:{fleet}:renders:<op>    hash: how long the latest renders of an operation took
//	hourglass:{fleet}:webhooks        hash: how many renders have ended, and webhooks told of
//	hourglass:{fleet}:heard:<id>      string, expires: a webhook has told of the end of this project
//	hourglass:{fleet}:sightings…      three sorted sets: projects that webhooks have shown
//	hourglass:{<job>}:woken           string, expires: a webhook wants the job polled at once
//	hourglass:{fleet}:upload:<id>     string, expires: a file that Magic Hour holds, as JSON
//	hourglass:{fleet}:window:…        how many projects may render: see window.go
//	hourglass:{fleet}:budget…         how many calls may be made: see budget.go
//	hourglass:{fleet}:events          stream: what has become of jobs, see events.go
//	hourglass:{fleet}:credits:…       what callers may spend: see credits.go
//	hourglass:{fleet}:prices          hash: the most that a second or image of an operation was charged
//	hourglass:{fleet}:checked         string: a worker has tried whether Redis takes writes
package records

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrNotFound says that there is no record of this job, or not any more.
	ErrNotFound = errors.New("no such job")

	// ErrConflict says that the record is not at the expected revision: somebody else has
	// changed it. Load it again and decide anew.
	ErrConflict = errors.New("the record was changed meanwhile")

	// ErrUnconfirmed says that the write took effect but that no replica has confirmed it in
	// time: a failover could forget it.
	ErrUnconfirmed = errors.New("no replica of Redis confirmed the write")
)

// Absent is the revision of a record that does not exist: Save with it creates.
const Absent = ""

const (
	deadlines = "hourglass:{fleet}:deadlines"
	checked   = "hourglass:{fleet}:checked"
)

func recordKey(job string) string      { return "hourglass:{" + job + "}:record" }
func projectKey(project string) string { return "hourglass:{fleet}:project:" + project }

// Store keeps records in Redis. It is safe for concurrent use.
type Store struct {
	rdb        redis.UniversalClient
	replicated atomic.Bool // whether a server has been seen with a replica
}

// New returns the store of the fleet whose Redis rdb speaks to. The caller closes rdb.
func New(rdb redis.UniversalClient) *Store { return &Store{rdb: rdb} }

// Load returns the record of a job and its revision, which Save wants back. A job without
// a record is ErrNotFound.
func (s *Store) Load(ctx context.Context, job string) (data []byte, rev string, err error) {
	fields, err := s.rdb.HMGet(ctx, recordKey(job), "job", "rev").Result()
	if err != nil {
		return nil, "", fmt.Errorf("load job %s: %w", job, err)
	}
	text, okJob := fields[0].(string)
	rev, okRev := fields[1].(string)
	if !okJob || !okRev {
		return nil, Absent, ErrNotFound
	}
	return []byte(text), rev, nil
}

// The new revision is made by the caller, so a Save whose answer was lost and that the Redis
// client sends again finds its own revision and succeeds. It is random and not a counter: a
// job id may be used again after its record has expired, and a handler frozen since then must
// not find its revision valid.
var save = redis.NewScript(`
local rev = redis.call('HGET', KEYS[1], 'rev') or ''
if rev == ARGV[2] then return 1 end
if rev ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'rev', ARGV[2], 'job', ARGV[3])
if ARGV[4] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
`)

// Save writes the record of a job if it still is at revision rev, and returns the new revision.
// The record expires after ttl; 0 keeps it for ever. A record at another revision is
// ErrConflict. After any other error the write may or may not have taken effect.
func (s *Store) Save(ctx context.Context, job string, data []byte, rev string, ttl time.Duration) (string, error) {
	next := rand.Text()
	saved, err := save.Run(ctx, s.rdb, []string{recordKey(job)}, rev, next, data, ttl.Milliseconds()).Int()
	if err != nil {
		return "", fmt.Errorf("save job %s: %w", job, err)
	}
	if saved == 0 {
		return "", ErrConflict
	}
	return next, nil
}

// Claim ties a project to a job and returns the job it belongs to: this one, or the one that
// claimed it before. May be repeated.
func (s *Store) Claim(ctx context.Context, project, job string) (owner string, err error) {
	key := projectKey(project)
	won, err := s.rdb.SetNX(ctx, key, job, 0).Result()
	if err != nil {
		return "", fmt.Errorf("claim project %s for job %s: %w", project, job, err)
	}
	if won {
		return job, nil
	}
	owner, err = s.rdb.Get(ctx, key).Result()
	if err != nil {
		return "", fmt.Errorf("claim project %s for job %s: %w", project, job, err)
	}
	return owner, nil
}

// KeepClaim lets the claim of a project stand for as long as its job is on the road again.
func (s *Store) KeepClaim(ctx context.Context, project string) error {
	if err := s.rdb.Persist(ctx, projectKey(project)).Err(); err != nil {
		return fmt.Errorf("keep the claim of project %s: %w", project, err)
	}
	return nil
}

var unclaim = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`)

// Unclaim takes back the claim of a job that does not follow the project after all. May be repeated.
func (s *Store) Unclaim(ctx context.Context, project, job string) error {
	if err := unclaim.Run(ctx, s.rdb, []string{projectKey(project)}, job).Err(); err != nil {
		return fmt.Errorf("give up the claim of project %s: %w", project, err)
	}
	return nil
}

// ExpireClaim lets the claim of a project end together with the record of its job.
func (s *Store) ExpireClaim(ctx context.Context, project string, ttl time.Duration) error {
	if err := s.rdb.PExpire(ctx, projectKey(project), ttl).Err(); err != nil {
		return fmt.Errorf("expire the claim of project %s: %w", project, err)
	}
	return nil
}

// NameQueues makes sure that Asynq lists the queues. Its clients do so once in their life; where somebody deletes
// an empty queue from a dashboard it goes on working, but no inspector knows it any more, or its tasks.
func (s *Store) NameQueues(ctx context.Context, queues ...any) error {
	if err := s.rdb.SAdd(ctx, "asynq:queues", queues...).Err(); err != nil {
		return fmt.Errorf("name the queues: %w", err)
	}
	return nil
}

// WriteResult gives a task of Asynq its result, if it is still there. Asynq's own way makes what is
// not there: after a failover that has forgotten the task, its id would be held for ever by what is
// no task.
func (s *Store) WriteResult(ctx context.Context, queue, task string, text []byte) error {
	return writeResult.Run(ctx, s.rdb, []string{taskKey(queue, task)}, text).Err()
}

func taskKey(queue, task string) string { return "asynq:{" + queue + "}:t:" + task }

var writeResult = redis.NewScript(`
if redis.call('HEXISTS', KEYS[1], 'msg') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'result', ARGV[1])
return 1
`)
