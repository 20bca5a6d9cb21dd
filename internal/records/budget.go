package records

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// The budget is how many calls a second the fleet may make to the API. It has a bucket for each lane, filled
// with its share of the rate, and never with more than a second's worth. Who finds it empty is given a turn, at which the
// lane will have had time for all who came before, and comes again then: nobody waits inside. A lane in which
// nobody waits lends what is in its bucket, so that the other one has the whole rate.
//
// A turn is no promise: what may leave is told by the buckets alone, so that a fleet which was away does not come back with
// all turns that have passed at once. Turns are given out a tenth too close, so that the buckets are used up.
//
// The brake stops all calls when the API has said that there are too many, and lets them begin again slowly, twice as many
// every few seconds.
//
// Keys:
//
//	hourglass:{fleet}:budget         hash: "at", when the buckets were looked at; of lane N, "tokens:N" in its bucket, and "tail:N",
//	                                 the last turn; "until", the end of the brake; times in s
//	hourglass:{fleet}:budget:turns   sorted set: who has been given a turn, by its time
//	hourglass:{fleet}:holds          "budget/brake" among the holds: every worker looks there
const (
	budget     = "hourglass:{fleet}:budget"
	turns      = "hourglass:{fleet}:budget:turns"
	brakeField = "budget/brake"
)

// A Lane is a sort of calls with a share of the budget of its own.
type Lane int

// The lanes.
const (
	Polls  Lane = 1 // 60 %: they are many, and only bring news
	Others Lane = 2 // 40 %: creates, fresh URLs, deletes
)

// budgetScript is what both scripts begin with. Without a rate only the brake counts, and it ends at a
// thousand calls a second.
const budgetScript = `
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local rate = tonumber(ARGV[1])
local shares = {0.6, 0.4}

local function field(name, default)
  return tonumber(redis.call('HGET', KEYS[1], name) or default)
end

local function probing() if rate > 0 then return math.max(1, rate / 16) end return 2 end
`

var askBudget = redis.NewScript(budgetScript + `
local lane, cost, claim, force = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
local other = 3 - lane
local free = rate > 0 and rate or 1000
local until_ = field('until', 0)
local braked, from = until_ > 0, math.max(now, until_)
if braked then
  local grown = probing() * 2 ^ (math.max(0, now - until_) / 5)
  if grown >= free then
    braked = false
    redis.call('HDEL', KEYS[1], 'until')
    redis.call('HDEL', KEYS[3], '` + brakeField + `')
  else
    free = grown
  end
end
if rate == 0 and not braked then return -1 end

local tokens, tails = {}, {field('tail:1', 0), field('tail:2', 0)}
local gone = math.max(0, now - field('at', 0))
for i = 1, 2 do
  local full = math.max(2, shares[i] * free)
  tokens[i] = math.min(full, field('tokens:' .. i, full) + shares[i] * free * gone)
end

local function keep(wait)
  redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now))
  for i = 1, 2 do
    redis.call('HSET', KEYS[1], 'tokens:' .. i, string.format('%.6f', tokens[i]), 'tail:' .. i, string.format('%.6f', tails[i]))
  end
  return math.ceil(wait * 1000000)
end

local turn = redis.call('ZSCORE', KEYS[2], claim)
if turn and tonumber(turn) > now and not force then return keep(tonumber(turn) - now) end

local mine = turn or tails[lane] <= now
local lends = tails[other] <= now
local lent = lends and math.max(0, tokens[other]) or 0
if force or now >= until_ and mine and tokens[lane] + lent >= cost then
  local own = force and cost or math.min(cost, math.max(0, tokens[lane]))
  tokens[lane], tokens[other] = tokens[lane] - own, tokens[other] - (cost - own)
  if turn then redis.call('ZREM', KEYS[2], claim) end
  return keep(0)
end

local speed = free * (lends and 1 or shares[lane])
local tail = math.max(tails[lane], from) + cost / (speed * 1.1)
if braked and tail > from + 10 then return keep(from + 10 - now) end -- by then it may go much faster
tails[lane] = tail
redis.call('ZADD', KEYS[2], string.format('%.6f', tail), claim)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now - 3600))
return keep(math.max(tail - now, 0.001))
`)

// AskBudget asks whether so many calls may be made now, of a fleet that may make rate calls a second; 0 is any
// number. Otherwise it returns after how long to ask again, with the same claim. May be repeated.
func (s *Store) AskBudget(ctx context.Context, rate float64, lane Lane, calls int, claim string) (wait time.Duration, err error) {
	us, err := askBudget.Run(ctx, s.rdb, []string{budget, turns, holds}, rate, int(lane), calls, claim, false).Int64()
	if err != nil {
		return 0, fmt.Errorf("ask for the turn to call the API: %w", err)
	}
	return time.Duration(max(us, 0)) * time.Microsecond, nil
}

// SpendBudget counts calls that are made whether or not it is their turn: others wait for them.
func (s *Store) SpendBudget(ctx context.Context, rate float64, lane Lane, calls int) error {
	if err := askBudget.Run(ctx, s.rdb, []string{budget, turns, holds}, rate, int(lane), calls, "", true).Err(); err != nil {
		return fmt.Errorf("count a call of the API: %w", err)
	}
	return nil
}

var brake = redis.NewScript(budgetScript + `
local until_, pause = field('until', 0), tonumber(ARGV[2])
local isNew = until_ <= now
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', math.max(until_, now + pause)))
if isNew then
  redis.call('HSET', KEYS[1], 'at', string.format('%.6f', now), 'tokens:1', '0', 'tokens:2', '0')
  redis.call('HSET', KEYS[3], '` + brakeField + `', '1')
end
return isNew and 1 or 0
`)

// BrakeBudget stops the calls of the fleet for so long, and reports whether they were not stopped already. May
// be repeated.
func (s *Store) BrakeBudget(ctx context.Context, rate float64, pause time.Duration) (isNew bool, err error) {
	n, err := brake.Run(ctx, s.rdb, []string{budget, turns, holds}, rate, pause.Seconds()).Int()
	if err != nil {
		return false, fmt.Errorf("tell the fleet that the API wants fewer calls: %w", err)
	}
	return n == 1, nil
}

// Braked reports whether the brake is among the holds.
func Braked(holds map[string]string) bool { return holds[brakeField] != "" }
