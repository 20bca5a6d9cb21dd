package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Budget is what a caller may spend on a day. What its jobs cost is known only when they are bought, so they are
// reserved for at a guess, and settled later.
type Budget struct {
	Name string // whose
	Day  string // 2026-11-25, UTC
}

// A Cost is what a job costs, as far as is known.
type Cost struct {
	Job       string
	Operation string // "": nothing is learnt of its price
	Epoch     int    // of the record that says so
	Credits   int
	Final     bool // it will not change any more
}

// budgetsKept is how long the reservations of a day are kept: jobs of its last minute are settled on the next.
const budgetsKept = 72 * time.Hour

// pricesKept is how long a price is remembered of a caller that buys nothing.
const pricesKept = 90 * 24 * time.Hour

// total stands among the job ids of a budget. They hold no colon.
const total = ":total"

func (b Budget) reserved() string { return "hourglass:{fleet}:credits:" + b.Name + ":" + b.Day }
func (b Budget) open() string     { return b.reserved() + ":open" }
func (b Budget) prices() string   { return "hourglass:{fleet}:prices:" + b.Name }

// A job that is bought again keeps what it has cost before as its base.
var reserve = redis.NewScript(`
local job, credits, epoch = ARGV[1], tonumber(ARGV[2]), ARGV[5]
local left = tonumber(ARGV[3]) - tonumber(redis.call('HGET', KEYS[1], ':total') or '0')
if redis.call('SISMEMBER', KEYS[2], job) == 1 and redis.call('HGET', KEYS[1], job .. ':epoch') == epoch then
  return {1, math.max(left, 0)}
end
if credits > 0 and credits > left then return {0, math.max(left, 0)} end
local had = tonumber(redis.call('HGET', KEYS[1], job) or '0')
redis.call('HSET', KEYS[1], job, had + credits, job .. ':base', had, job .. ':epoch', epoch)
redis.call('HINCRBY', KEYS[1], ':total', credits)
redis.call('SADD', KEYS[2], job)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {1, math.max(left - credits, 0)}
`)

// Reserve sets credits aside for a job that is about to be bought at an epoch, unless that takes the budget over its
// limit, and returns what is left of it. Whoever asks again before the purchase is settled gets no more: may be repeated.
func (s *Store) Reserve(ctx context.Context, b Budget, job string, epoch, credits, limit int) (left int, ok bool, err error) {
	answer, err := reserve.Run(ctx, s.rdb, []string{b.reserved(), b.open()}, job, credits, limit, budgetsKept.Milliseconds(), epoch).Int64Slice()
	if err != nil {
		return 0, false, fmt.Errorf("reserve credits for job %s: %w", job, err)
	}
	return int(answer[1]), answer[0] == 1, nil
}

// What is known from before the job was reserved for says nothing of that purchase. A price rises at once, so that a
// budget is not overspent, and falls by and by, so that one dear job does not keep out cheap ones for ever.
var settle = redis.NewScript(`
for i = 2, #ARGV, 5 do
  local job, operation, epoch, credits, final = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4] == '1'
  local had = redis.call('HGET', KEYS[1], job)
  if had and redis.call('SISMEMBER', KEYS[2], job) == 1 and tonumber(redis.call('HGET', KEYS[1], job .. ':epoch')) <= epoch then
    local cost = tonumber(redis.call('HGET', KEYS[1], job .. ':base')) + credits
    redis.call('HSET', KEYS[1], job, cost)
    redis.call('HINCRBY', KEYS[1], ':total', cost - tonumber(had))
    if final then redis.call('SREM', KEYS[2], job) end
    if operation ~= '' and credits > 0 then
      local price = tonumber(redis.call('HGET', KEYS[3], operation) or '0')
      if credits > price then price = credits elseif final then price = price - math.ceil((price - credits) / 4) end
      redis.call('HSET', KEYS[3], operation, price)
      redis.call('PEXPIRE', KEYS[3], ARGV[1])
    end
  end
end
return 1
`)

// Settle puts what jobs have cost in the place of what was reserved for them, and learns from it what jobs of the
// caller cost. Jobs without a reservation that is open stay as they are. May be repeated.
func (s *Store) Settle(ctx context.Context, b Budget, costs ...Cost) error {
	if len(costs) == 0 {
		return nil
	}
	args := []any{pricesKept.Milliseconds()}
	for _, c := range costs {
		args = append(args, c.Job, c.Operation, c.Epoch, c.Credits, c.Final)
	}
	if err := settle.Run(ctx, s.rdb, []string{b.reserved(), b.open(), b.prices()}, args...).Err(); err != nil {
		return fmt.Errorf("settle the credits of %s: %w", b.Name, err)
	}
	return nil
}

// Unsettled returns up to n jobs of a budget that are not settled, any of them.
func (s *Store) Unsettled(ctx context.Context, b Budget, n int) ([]string, error) {
	jobs, err := s.rdb.SRandMemberN(ctx, b.open(), int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("look for jobs to settle: %w", err)
	}
	return jobs, nil
}

// Spent returns what is reserved and spent of a budget.
func (s *Store) Spent(ctx context.Context, b Budget) (int, error) {
	n, err := s.rdb.HGet(ctx, b.reserved(), total).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("look at the credits of %s: %w", b.Name, err)
	}
	return n, nil
}

// Price returns what a job of the operation costs the caller, by what the ones before were charged; 0 if there were none.
func (s *Store) Price(ctx context.Context, b Budget, operation string) (int, error) {
	n, err := s.rdb.HGet(ctx, b.prices(), operation).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("look for the price of %s: %w", operation, err)
	}
	return n, nil
}
