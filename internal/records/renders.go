package records

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long renders take is kept as weights of buckets, old ones counting less. Not the old ones are made
// lighter but the new ones heavier: "unit" is what a render weighs now, since "at". When that grows too large, all
// is divided by it.
var learn = redis.NewScript(`
local now = redis.call('TIME')[1]
local since = math.max(0, now - (tonumber(redis.call('HGET', KEYS[1], 'at') or '0') or 0))
local kept = tonumber(ARGV[1])
if tonumber(ARGV[3]) > 0 then kept = math.max(kept, math.exp(-since / ARGV[3])) end
local unit = (tonumber(redis.call('HGET', KEYS[1], 'unit') or '1') or 0) / kept
if not (unit > 0 and unit < 1e300) then
  redis.call('DEL', KEYS[1])
  unit = 1
end
if unit > 1e9 then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local weight = (tonumber(all[i + 1]) or 0) / unit
    if weight > 0.001 and weight < 1e6 then
      redis.call('HSET', KEYS[1], all[i], string.format('%.9g', weight))
    else
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
  unit = 1
end
redis.call('HSET', KEYS[1], 'unit', string.format('%.17g', unit), 'at', now)
for i = 4, #ARGV, 2 do
  redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], string.format('%.9g', ARGV[i + 1] * unit))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

// learntFor is how long is known what was learnt of an operation that nobody uses.
const learntFor = 4 * 7 * 24 * time.Hour

func rendersKey(operation string) string { return "hourglass:{fleet}:renders:" + operation }

// A Weight is what a render adds to a bucket of the times that renders take.
type Weight struct {
	Bucket int
	Weight float64
}

// Learn adds a render to those that were seen of an operation, each of which keeps at least this share of its weight,
// and loses it no faster than in a lifetime; 0 is none.
func (s *Store) Learn(ctx context.Context, operation string, kept float64, lifetime time.Duration, weights []Weight) error {
	args := []any{kept, learntFor.Milliseconds(), lifetime.Seconds()}
	for _, w := range weights {
		args = append(args, w.Bucket, w.Weight)
	}
	if err := learn.Run(ctx, s.rdb, []string{rendersKey(operation)}, args...).Err(); err != nil {
		return fmt.Errorf("learn how long %s took: %w", operation, err)
	}
	return nil
}

// Renders returns what was learnt of each operation.
func (s *Store) Renders(ctx context.Context, operations []string) (map[string][]Weight, error) {
	pipe := s.rdb.Pipeline()
	reads := map[string]*redis.MapStringStringCmd{}
	for _, operation := range operations {
		reads[operation] = pipe.HGetAll(ctx, rendersKey(operation))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("look how long renders take: %w", err)
	}
	learnt := map[string][]Weight{}
	for operation, read := range reads {
		learnt[operation] = readWeights(read.Val())
	}
	return learnt, nil
}

// readWeights leaves out what it can't read, or can't be: it may be of a later version, or broken by somebody.
func readWeights(fields map[string]string) []Weight {
	unit := readCount(fields["unit"])
	if unit == 0 {
		return nil
	}
	var weights []Weight
	for name, text := range fields {
		bucket, err := strconv.Atoi(name)
		if weight := readCount(text) / unit; err == nil && weight > 0 && weight < mostCounted {
			weights = append(weights, Weight{bucket, weight})
		}
	}
	return weights
}

// mostCounted is more than what was counted can come to, since the old counts less.
const mostCounted = 1e6

// readCount returns 0 for what is no number of renders.
func readCount(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n < math.MaxFloat64) {
		return 0
	}
	return n
}

// Of how many renders a webhook tells is kept for each kind of project, since events are subscribed to by kind:
// of a render that has ended, whether its webhook had come by then, or came a moment later.
//
//	hourglass:{fleet}:webhooks:KIND   hash: "ended" renders, and "heard" of those; old ones count less
//	hourglass:{fleet}:heard:PROJECT   when its webhook came, in ms since 1970
//	hourglass:{fleet}:ended:PROJECT   stands for a moment if it had not come
func webhooksKeys(kind, project string) []string {
	const fleet = "hourglass:{fleet}:"
	return []string{fleet + "webhooks:" + kind, fleet + "heard:" + project, fleet + "ended:" + project}
}

const (
	// heardFor is how long before the end of a render is seen its webhook may come.
	heardFor = time.Hour

	// inTime is how long after that a webhook still counts as one that came: it was as fast as the poll.
	inTime = 10 * time.Second

	// countedFor is how long a fleet that renders nothing believes in its webhooks.
	countedFor = 7 * 24 * time.Hour
)

var hear = redis.NewScript(`
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
if redis.call('DEL', KEYS[3]) == 1 then redis.call('HINCRBYFLOAT', KEYS[1], 'heard', 1) end
return 1
`)

// Hear notes that a webhook has told of a project's end. May be repeated; the first one counts.
func (s *Store) Hear(ctx context.Context, kind, project string, at time.Time) error {
	if err := hear.Run(ctx, s.rdb, webhooksKeys(kind, project), at.UnixMilli(), heardFor.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("count the webhook of project %s: %w", project, err)
	}
	return nil
}

var endRender = redis.NewScript(`
local at = redis.call('GET', KEYS[2])
for _, name in ipairs({'ended', 'heard'}) do
  local n = (tonumber(redis.call('HGET', KEYS[1], name) or '0') or 0) * ARGV[1]
  if not (n >= 0 and n < 1e6) then n = 0 end
  if name == 'ended' or at then n = n + 1 end
  redis.call('HSET', KEYS[1], name, string.format('%.9g', n))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if not at then redis.call('SET', KEYS[3], 1, 'PX', ARGV[3]) end
return at
`)

// EndRender counts that a render was seen to have ended, by whatever means; all before it keep this share of
// their weight. It returns when a webhook told of it; zero if none has.
func (s *Store) EndRender(ctx context.Context, kind, project string, kept float64) (heard time.Time, err error) {
	at, err := endRender.Run(ctx, s.rdb, webhooksKeys(kind, project), kept, countedFor.Milliseconds(), inTime.Milliseconds()).Int64()
	switch {
	case errors.Is(err, redis.Nil):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("count the end of a render: %w", err)
	}
	return time.UnixMilli(at), nil
}

// Webhooks returns how many renders of a kind have ended of late, and of how many a webhook has told.
func (s *Store) Webhooks(ctx context.Context, kind string) (ended, heard float64, err error) {
	fields, err := s.rdb.HGetAll(ctx, webhooksKeys(kind, "")[0]).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("look how many webhooks come: %w", err)
	}
	ended = min(readCount(fields["ended"]), mostCounted)
	return ended, min(readCount(fields["heard"]), ended), nil
}
