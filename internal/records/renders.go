package records

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long renders take is kept as weights of buckets, old ones counting less. Not the old ones are made
// lighter but the new ones heavier: "unit" is what a render weighs now. When that grows too large, all
// is divided by it.
var learn = redis.NewScript(`
local unit = tonumber(redis.call('HGET', KEYS[1], 'unit') or '1') / ARGV[1]
if unit > 1e9 then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local weight = tonumber(all[i + 1]) / unit
    if weight > 0.001 then
      redis.call('HSET', KEYS[1], all[i], string.format('%.9g', weight))
    else
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
  unit = 1
end
redis.call('HSET', KEYS[1], 'unit', string.format('%.17g', unit))
for i = 3, #ARGV, 2 do
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

// Learn adds a render to those that were seen of an operation, each of which keeps this share of its weight.
func (s *Store) Learn(ctx context.Context, operation string, kept float64, weights []Weight) error {
	args := []any{kept, learntFor.Milliseconds()}
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

// readWeights leaves out what it can't read: it may be of a later version.
func readWeights(fields map[string]string) []Weight {
	unit, err := strconv.ParseFloat(fields["unit"], 64)
	if err != nil || unit <= 0 {
		return nil
	}
	var weights []Weight
	for name, text := range fields {
		bucket, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if weight, err := strconv.ParseFloat(text, 64); err == nil && weight > 0 {
			weights = append(weights, Weight{bucket, weight / unit})
		}
	}
	return weights
}

const webhooks = "hourglass:{fleet}:webhooks"

func heardKey(project string) string { return "hourglass:{fleet}:heard:" + project }

// heardFor is how long the same event may be sent again and still counts once.
const heardFor = time.Hour

// countedFor is how long a fleet that renders nothing believes in its webhooks.
const countedFor = 7 * 24 * time.Hour

var hear = redis.NewScript(`
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
redis.call('HINCRBYFLOAT', KEYS[2], 'heard', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
`)

// Hear counts that a webhook has told of a project's end. May be repeated.
func (s *Store) Hear(ctx context.Context, project string) error {
	if err := hear.Run(ctx, s.rdb, []string{heardKey(project), webhooks}, heardFor.Milliseconds(), countedFor.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("count the webhook of project %s: %w", project, err)
	}
	return nil
}

var endRender = redis.NewScript(`
for _, name in ipairs({'ended', 'heard'}) do
  local n = (redis.call('HGET', KEYS[1], name) or 0) * ARGV[1]
  if name == 'ended' then n = n + 1 end
  redis.call('HSET', KEYS[1], name, string.format('%.9g', n))
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

// EndRender counts that a render was seen to have ended, by whatever means; all before it keep this share of
// their weight.
func (s *Store) EndRender(ctx context.Context, kept float64) error {
	if err := endRender.Run(ctx, s.rdb, []string{webhooks}, kept, countedFor.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("count the end of a render: %w", err)
	}
	return nil
}

// Webhooks returns how many renders have ended of late, and of how many a webhook has told.
func (s *Store) Webhooks(ctx context.Context) (ended, heard float64, err error) {
	fields, err := s.rdb.HGetAll(ctx, webhooks).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("look how many webhooks come: %w", err)
	}
	ended, _ = strconv.ParseFloat(fields["ended"], 64)
	heard, _ = strconv.ParseFloat(fields["heard"], 64)
	return ended, heard, nil
}
