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

// budgetsKept is how long the reservations of a day are kept: jobs of its last minute are settled on the next.
const budgetsKept = 72 * time.Hour

// Among the reservations, by job, stands their sum as :total; no job id begins with a colon.
func (b Budget) reserved() string { return "hourglass:{fleet}:credits:" + b.Name + ":" + b.Day }
func (b Budget) open() string     { return b.reserved() + ":open" }

var reserve = redis.NewScript(`
local had = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local all = tonumber(redis.call('HGET', KEYS[1], ':total') or '0')
local want = math.max(tonumber(ARGV[2]) - had, 0)
local left = tonumber(ARGV[3]) - all
if want > left then return {0, math.max(left, 0)} end
redis.call('HSET', KEYS[1], ARGV[1], had + want)
redis.call('HINCRBY', KEYS[1], ':total', want)
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {1, left - want}
`)

// Reserve sets credits aside for a purchase, unless that takes the budget over its limit, and returns what is left of it.
// One that has them already gets no more. May be repeated.
func (s *Store) Reserve(ctx context.Context, b Budget, job string, credits, limit int) (left int, ok bool, err error) {
	answer, err := reserve.Run(ctx, s.rdb, []string{b.reserved(), b.open()}, job, credits, limit, budgetsKept.Milliseconds()).Int64Slice()
	if err != nil {
		return 0, false, fmt.Errorf("reserve credits for %s: %w", job, err)
	}
	return int(answer[1]), answer[0] == 1, nil
}

var settle = redis.NewScript(`
local had = redis.call('HGET', KEYS[1], ARGV[1])
if not had or redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', KEYS[1], ':total', tonumber(ARGV[2]) - tonumber(had))
if ARGV[3] == '1' then redis.call('SREM', KEYS[2], ARGV[1]) end
return 1
`)

// Settle puts what a purchase has cost in the place of what was reserved for it; closed says that it will not change any
// more, whatever somebody says who has looked earlier. One without a reservation has none afterwards. May be repeated.
func (s *Store) Settle(ctx context.Context, b Budget, job string, credits int, closed bool) error {
	if err := settle.Run(ctx, s.rdb, []string{b.reserved(), b.open()}, job, credits, closed).Err(); err != nil {
		return fmt.Errorf("settle the credits of %s: %w", job, err)
	}
	return nil
}

// Unsettled returns up to n purchases of a budget that are not settled, any of them.
func (s *Store) Unsettled(ctx context.Context, b Budget, n int) ([]string, error) {
	jobs, err := s.rdb.SRandMemberN(ctx, b.open(), int64(n)).Result()
	if err != nil {
		return nil, fmt.Errorf("look for purchases to settle: %w", err)
	}
	return jobs, nil
}

const prices = "hourglass:{fleet}:prices"

// Price returns the most that a unit of the operation, a second or an image, was ever charged; 0 if that is not known.
func (s *Store) Price(ctx context.Context, operation string) (float64, error) {
	n, err := s.rdb.HGet(ctx, prices, operation).Float64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("look for the price of %s: %w", operation, err)
	}
	return n, nil
}

var learnPrice = redis.NewScript(`
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return 1
`)

// LearnPrice remembers what a unit of the operation was charged, if none was charged more.
func (s *Store) LearnPrice(ctx context.Context, operation string, credits float64) error {
	if err := learnPrice.Run(ctx, s.rdb, []string{prices}, operation, credits).Err(); err != nil {
		return fmt.Errorf("remember the price of %s: %w", operation, err)
	}
	return nil
}
