package records

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// The budget is how many calls a second the fleet may make to the API. It has a bucket for each lane, filled
// with its share of the rate, and never with more than a second's worth. Who finds it empty is given a turn, at which the
// lane will have had time for all who came before, and comes again then: nobody waits inside. A lane in which
// nobody waits lends what is in its bucket, so that the others have the whole rate.
//
// A turn is no promise: what may leave is told by the buckets alone, so that a fleet which was away does not come back with
// all turns that have passed at once. Turns are given out a tenth too close, so that the buckets are used up; who
// finds nothing left at its turn is given another one, among those who are late and not behind everybody. Turns that
// nobody comes for, and those that were given at a lower rate, hold up nobody for long: in a lane whose bucket was not
// empty for 15 s nobody counts as waiting, and turns begin anew; and a full bucket lets whoever asks go before its turn.
//
// The brake stops all calls when the API has said that there are too many, and lets them begin again slowly, twice as many
// every few seconds. Near the speed at which that happened it goes on more slowly, or the fleet would meet the limit
// again at once.
//
// Keys:
//
//	hourglass:{fleet}:budget         hash: "at", when the buckets were looked at; of lane N, "tokens:N" in its bucket, "tail:N",
//	                                 the last turn, "late:N", the last one of those who are late, and "short:N", when its bucket
//	                                 was last empty; "until", the end of the brake, and "ceiling", the speed near which to be careful; times in s
//	hourglass:{fleet}:budget:turns   sorted set: who has been given a turn, by its time
//	hourglass:{fleet}:holds          "budget/brake" among the holds: every worker looks there
const (
	budget     = "hourglass:{fleet}:budget"
	turns      = "hourglass:{fleet}:budget:turns"
	brakeField = "budget/brake"
)

// A Lane is a sort of calls with a share of the budget of its own.
type Lane int

// The lanes. A job takes one create, three calls to finish and many polls.
const (
	Polls    Lane = 1 // 50 %: they are many, and only bring news
	Creates  Lane = 2 // 20 %
	Finishes Lane = 3 // 30 %: fresh URLs and deletes, of what is paid for
)

// budgetScript is what both scripts begin with. Without a rate only the brake counts, and it ends at a
// thousand calls a second.
const budgetScript = `
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local rate = tonumber(ARGV[1])
local free = rate > 0 and rate or 1000
local shares = {0.5, 0.2, 0.3}

local function field(name, default)
  return tonumber(redis.call('HGET', KEYS[1], name) or default)
end

local function set(name, value) redis.call('HSET', KEYS[1], name, string.format('%.6f', value)) end

local until_, ceiling = field('until', 0), field('ceiling', 1e9)
if until_ > now + 301 then until_ = now end -- by another clock: no pause is as long

-- speed is how many calls a second may leave at a time.
local function speed(at)
  if until_ == 0 then return free end
  local since = math.max(0, at - until_)
  local grown = (rate > 0 and math.max(1, rate / 16) or 2) * 2 ^ math.min(since / 5, 50)
  return math.min(free, grown, ceiling * 2 ^ math.min(since / 150, 50))
end
`

var askBudget = redis.NewScript(budgetScript + `
local lane, cost, claim, force = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5] == '1'
if until_ > 0 and now >= until_ and speed(now) >= free then
  until_ = 0
  redis.call('HDEL', KEYS[1], 'until', 'ceiling')
  redis.call('HDEL', KEYS[3], '` + brakeField + `')
end
if rate == 0 and until_ == 0 then return -1 end

local tokens, tails, late, full = {}, {}, {}, {}
local gone = math.max(0, now - field('at', 0))
for i = 1, 3 do
  local flow = shares[i] * speed(now)
  full[i] = math.max(1, flow)
  tokens[i] = math.min(full[i], field('tokens:' .. i, full[i]) + flow * gone)
  tails[i], late[i] = field('tail:' .. i, 0), field('late:' .. i, 0)
  local short = field('short:' .. i, 0)
  if short > now + 1 then short = 0 end -- by another clock
  if now - math.max(short, until_) > math.max(15, 15 / flow) then tails[i], late[i] = math.min(tails[i], now), 0 end
end

local function keep(wait)
  set('at', now)
  for i = 1, 3 do
    set('tokens:' .. i, tokens[i])
    set('tail:' .. i, tails[i])
    set('late:' .. i, late[i])
  end
  return math.ceil(math.max(wait, 0) * 1000000)
end

-- waited is whether there is somebody whose turn comes, or has come and who needs a moment to come himself.
local function waited(i) return math.max(tails[i], late[i]) > now - 2 end

local turn = tonumber(redis.call('ZSCORE', KEYS[2], claim) or nil)
local mine = (turn or tails[lane]) <= now or tokens[lane] >= full[lane]
local share, lent = shares[lane], 0
for i = 1, 3 do
  if i ~= lane and not waited(i) then
    share, lent = share + shares[i], lent + math.max(0, tokens[i])
  end
end
if force or mine and now >= until_ and tokens[lane] + lent >= 1 then
  local own = math.min(cost, math.max(0, tokens[lane]))
  tokens[lane] = tokens[lane] - own
  for i = 1, 3 do
    if i ~= lane and not waited(i) then
      local part = math.min(cost - own, math.max(0, tokens[i]))
      tokens[i], own = tokens[i] - part, own + part
    end
  end
  -- The rest is owed: of two calls that belong together, or that were made out of turn. A minute pays all debts.
  tokens[lane] = math.max(tokens[lane] - (cost - own), -60 * shares[lane] * speed(now))
  if turn then redis.call('ZREM', KEYS[2], claim) end
  if tokens[lane] < 1 then set('short:' .. lane, now) end
  return keep(0)
end

if mine then set('short:' .. lane, now) end
local line = turn and turn <= now and late or tails
local from = math.max(line[lane], now, until_)
local new = from + cost / (share * speed(from) * 1.1)
if turn and turn > now and turn <= new then return keep(turn - now) end
line[lane] = new
redis.call('ZADD', KEYS[2], string.format('%.6f', new), claim)
redis.call('EXPIRE', KEYS[2], 86400)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now - 3600))
return keep(math.max(new - now, 0.001))
`)

// Who has to wait long asks before its turn, since things may have changed: the rate may have been raised, and those
// before it be gone.
const (
	longWait    = time.Minute
	longestWait = 5 * time.Minute
)

// AskBudget asks whether so many calls may be made now, of a fleet that may make rate calls a second; 0 is any
// number. Otherwise it returns after how long to ask again, with the same claim: at most 5 minutes. May be repeated.
func (s *Store) AskBudget(ctx context.Context, rate float64, lane Lane, calls int, claim string) (wait time.Duration, err error) {
	us, err := askBudget.Run(ctx, s.rdb, []string{budget, turns, holds}, rate, int(lane), calls, claim, false).Int64()
	if err != nil {
		return 0, fmt.Errorf("ask for the turn to call the API: %w", err)
	}
	wait = time.Duration(max(us, 0)) * time.Microsecond
	if soon := min(max(longWait, wait/4), longestWait); soon < wait {
		wait = soon - rand.N(soon/5) //nolint:gosec // no secret: many may have come at once
	}
	return wait, nil
}

// SpendBudget counts calls that are made whether or not it is their turn: others wait for them.
func (s *Store) SpendBudget(ctx context.Context, rate float64, lane Lane, calls int) error {
	if err := askBudget.Run(ctx, s.rdb, []string{budget, turns, holds}, rate, int(lane), calls, "", true).Err(); err != nil {
		return fmt.Errorf("count a call of the API: %w", err)
	}
	return nil
}

var brake = redis.NewScript(budgetScript + `
local isNew = until_ <= now
if isNew then
  -- A call that is refused soon after a pause tells that it was too short, and nothing of the speed.
  local tells = until_ == 0 and rate > 0 or until_ > 0 and (now - until_ >= 10 or speed(now) >= ceiling / 2)
  if tells then set('ceiling', math.max(0.7 * speed(now), math.min(0.5, free))) end
  set('at', now)
  for i = 1, 3 do set('tokens:' .. i, 0) end
  redis.call('HSET', KEYS[3], '` + brakeField + `', '1')
end
set('until', math.max(until_, now + ARGV[2]))
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
