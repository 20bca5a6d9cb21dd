package records

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The window is how many jobs of the fleet may have a project that renders. A job has one of its slots, or
// stands in its queue, or neither. Every change is one script, so that a worker that dies leaves a job in
// exactly one of these; whether a slot is still needed is told by the record of its job.
//
// Keys:
//
//	hourglass:{fleet}:window:slots    hash: job that has a slot, by "epoch|tenant"
//	hourglass:{fleet}:window:waiting  hash: job that waits, by "epoch|place"
//	hourglass:{fleet}:window:order    sorted set of places "priority|tenant|number|job", by their letters
//	hourglass:{fleet}:window:tenants  hash: "number", the last one given; of a tenant, "used" slots and when it was "served"
//	hourglass:{fleet}:window:turns:N  sorted set of a priority: the tenants that wait, by whose turn it is
//	hourglass:{fleet}:window:limited  string that expires: a worker with a limit has been here
const (
	windowKeys = "hourglass:{fleet}:window:"
	placesAt   = 16 // digits of a place's number

	// limitedFor is for how many milliseconds a limit stands that no worker has any more: one without must not
	// let in everybody while others have one.
	limitedFor = "60000"

	windowPage = 100 // slots that are asked for at once
)

func allWindowKeys() []string {
	keys := []string{windowKeys + "slots", windowKeys + "waiting", windowKeys + "order", windowKeys + "tenants"}
	for _, p := range []string{"1", "2", "3"} {
		keys = append(keys, windowKeys+"turns:"+p)
	}
	return append(keys, deadlines, windowKeys+"limited")
}

// windowScript is what all scripts of the window begin with.
//
// The turn goes to the highest priority, in it to the tenant with the fewest slots, among equals to the one
// that was served longest ago, and with a tenant to who came first. A tenant that comes anew counts as served
// at that moment, or names early in the alphabet would be served for ever.
const windowScript = `
local slots, waiting, order, tenants, deadlines, limited = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[8], KEYS[9]

local function turns(priority) return KEYS[4 + priority] end

local function number() return redis.call('HINCRBY', tenants, 'number', 1) end

local function rank(tenant)
  local used = tonumber(redis.call('HGET', tenants, 'used:' .. tenant) or '0')
  local served = tonumber(redis.call('HGET', tenants, 'served:' .. tenant) or '0')
  return string.format('%.0f', used * 10000000000 + served)
end

-- settle brings a tenant's turns up to date, and forgets one that has no slot and waits for none.
local function settle(tenant)
  local waits = false
  for p = 1, 3 do
    if redis.call('ZSCORE', turns(p), tenant) then
      waits = true
      redis.call('ZADD', turns(p), rank(tenant), tenant)
    end
  end
  if not waits and not redis.call('HGET', tenants, 'used:' .. tenant) then
    redis.call('HDEL', tenants, 'served:' .. tenant)
  end
end

local function first(priority, tenant)
  local from = priority .. '|' .. tenant .. '|'
  return redis.call('ZRANGEBYLEX', order, '[' .. from, '[' .. from .. '~', 'LIMIT', 0, 1)[1]
end

local function unqueue(job, place, priority, tenant)
  redis.call('HDEL', waiting, job)
  redis.call('ZREM', order, place)
  if not first(priority, tenant) then redis.call('ZREM', turns(priority), tenant) end
end

local function placeOf(job)
  local at = redis.call('HGET', waiting, job)
  if not at then return nil end
  local epoch, place, priority, tenant = string.match(at, '^(%d+)|((%d)|([^|]*)|.*)$')
  return tonumber(epoch), place, tonumber(priority), tenant
end

local function slotOf(job)
  local at = redis.call('HGET', slots, job)
  if not at then return nil end
  local epoch, tenant = string.match(at, '^(%d+)|(.*)$')
  return tonumber(epoch), tenant
end

local function foremost()
  for priority = 1, 3 do
    local tenant = redis.call('ZRANGE', turns(priority), 0, 0)[1]
    if tenant then return first(priority, tenant) end
  end
end

-- Should the order or the turns be lost, the places know both.
local many = redis.call('HLEN', waiting)
if redis.call('ZCARD', order) ~= many or many > 0 and not foremost() then
  redis.call('DEL', order, turns(1), turns(2), turns(3))
  for _, at in ipairs(redis.call('HVALS', waiting)) do
    local place, priority, tenant = string.match(at, '^%d+|((%d)|([^|]*)|.*)$')
    redis.call('ZADD', order, 0, place)
    redis.call('ZADD', turns(tonumber(priority)), rank(tenant), tenant)
  end
end

-- take lets the job go from the queue whose turn it is. It must have moved by its deadline, whatever becomes of
-- the worker that is told.
local function take(within)
  local place = foremost()
  if not place then return nil end
  local priority, tenant, job = string.match(place, '^(%d)|([^|]*)|%d+|(.*)$')
  local epoch = placeOf(job) or 0
  unqueue(job, place, tonumber(priority), tenant)
  redis.call('HSET', tenants, 'served:' .. tenant, number())
  local t = redis.call('TIME')
  redis.call('ZADD', deadlines, string.format('%.0f', t[1] * 1000000 + t[2] + within), job)
  return job, epoch, tenant
end

-- admit gives the free slots to those whose turn it is.
local function admit(limit, most, within)
  local admitted = {}
  if limit > 0 then redis.call('SET', limited, 1, 'PX', ` + limitedFor + `) end
  while #admitted < most and redis.call('HLEN', slots) < limit do
    local job, epoch, tenant = take(within)
    if not job then break end
    redis.call('HSET', slots, job, epoch .. '|' .. tenant)
    redis.call('HINCRBY', tenants, 'used:' .. tenant, 1)
    settle(tenant)
    admitted[#admitted + 1] = job
  end
  return admitted
end
`

// admitAtMost bounds what one call makes its caller enqueue. More have their deadline.
const admitAtMost = 20

// admittedWithin is by when a job that was given a slot must have moved: then the sweeper sees to it.
const admittedWithin = 30 * time.Second

var enterWindow = redis.NewScript(windowScript + `
local job, epoch, priority, tenant = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local has, whose = slotOf(job)
local waits, place = placeOf(job)
if has then
  if has < epoch then redis.call('HSET', slots, job, epoch .. '|' .. whose) end
elseif waits then
  if waits < epoch then redis.call('HSET', waiting, job, epoch .. '|' .. place) end
else
  local n = number()
  place = priority .. '|' .. tenant .. '|' .. string.format('%0' .. ARGV[8] .. '.0f', n) .. '|' .. job
  redis.call('HSET', waiting, job, epoch .. '|' .. place)
  redis.call('ZADD', order, 0, place)
  redis.call('HSETNX', tenants, 'served:' .. tenant, n)
  redis.call('ZADD', turns(priority), rank(tenant), tenant)
end
local admitted = admit(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
return {redis.call('HEXISTS', slots, job), admitted}
`)

// A Place is what a job brings to the window.
type Place struct {
	Job      string
	Epoch    int // of the job; what leaves with an earlier one leaves nothing
	Priority int // from 1, the highest, to 3
	Tenant   string
}

// EnterWindow gives a job a slot of a window of limit slots, or a place in the queue for one, and reports
// whether it has a slot. A job keeps what it has. It also returns the other jobs that got one
// of the free slots, if any. May be repeated.
func (s *Store) EnterWindow(ctx context.Context, limit int, p Place) (in bool, admitted []string, err error) {
	answer, err := enterWindow.Run(ctx, s.rdb, allWindowKeys(), limit, admitAtMost, admittedWithin.Microseconds(), p.Job, p.Epoch, p.Priority, p.Tenant, placesAt).Slice()
	if err != nil {
		return false, nil, fmt.Errorf("let job %s into the window: %w", p.Job, err)
	}
	has, _ := answer[0].(int64)
	others, _ := answer[1].([]any)
	admitted = slices.DeleteFunc(texts(others), func(job string) bool { return job == p.Job })
	return has == 1, admitted, nil
}

func texts(all []any) []string {
	found := make([]string, 0, len(all))
	for _, one := range all {
		text, _ := one.(string)
		found = append(found, text)
	}
	return found
}

var leaveWindow = redis.NewScript(windowScript + `
local job, epoch = ARGV[4], tonumber(ARGV[5])
local has, tenant = slotOf(job)
if has and has <= epoch then
  redis.call('HDEL', slots, job)
  if redis.call('HINCRBY', tenants, 'used:' .. tenant, -1) <= 0 then redis.call('HDEL', tenants, 'used:' .. tenant) end
  settle(tenant)
end
local waits, place, priority, whose = placeOf(job)
if waits and waits <= epoch then
  unqueue(job, place, priority, whose)
  settle(whose)
end
return admit(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
`)

// AnyEpoch lets a job leave whose record is gone.
const AnyEpoch = math.MaxInt32

// LeaveWindow takes a job out of the window, unless it has entered it in a later epoch, and returns
// the jobs that got a free slot, if any. May be repeated.
func (s *Store) LeaveWindow(ctx context.Context, limit int, job string, epoch int) (admitted []string, err error) {
	admitted, err = leaveWindow.Run(ctx, s.rdb, allWindowKeys(), limit, admitAtMost, admittedWithin.Microseconds(), job, epoch).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("let job %s out of the window: %w", job, err)
	}
	return admitted, nil
}

// FillWindow gives free slots to jobs that wait, and returns those. May be repeated.
func (s *Store) FillWindow(ctx context.Context, limit int) (admitted []string, err error) {
	return s.LeaveWindow(ctx, limit, "", AnyEpoch)
}

var openWindow = redis.NewScript(windowScript + `
if redis.call('EXISTS', limited) == 1 then return {} end
redis.call('DEL', slots)
for _, field in ipairs(redis.call('HKEYS', tenants)) do
  local tenant = string.match(field, '^used:(.*)$')
  if tenant then
    redis.call('HDEL', tenants, field)
    settle(tenant)
  end
end
local admitted = {}
while #admitted < tonumber(ARGV[1]) do
  local job, _, tenant = take(tonumber(ARGV[2]))
  if not job then break end
  settle(tenant)
  admitted[#admitted + 1] = job
end
return admitted
`)

// OpenWindow is for a fleet without a limit: it forgets the slots, lets jobs go that wait, and returns those. It
// does nothing before a worker that has a limit is gone for a minute. May be repeated.
func (s *Store) OpenWindow(ctx context.Context) (admitted []string, err error) {
	admitted, err = openWindow.Run(ctx, s.rdb, allWindowKeys(), admitAtMost, admittedWithin.Microseconds()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("open the window: %w", err)
	}
	return admitted, nil
}

var joinWindow = redis.NewScript(windowScript + `
local job, epoch, tenant = ARGV[1], ARGV[2], ARGV[3]
if slotOf(job) then return 0 end
local waits, place, priority, whose = placeOf(job)
if waits then unqueue(job, place, priority, whose) end
redis.call('HSET', slots, job, epoch .. '|' .. tenant)
redis.call('HINCRBY', tenants, 'used:' .. tenant, 1)
if waits then settle(whose) end
settle(tenant)
return 1
`)

// JoinWindow gives a job a slot whose project renders already, whether or not one is free, and reports
// whether it had none. May be repeated.
func (s *Store) JoinWindow(ctx context.Context, p Place) (bool, error) {
	n, err := joinWindow.Run(ctx, s.rdb, allWindowKeys(), p.Job, p.Epoch, p.Tenant).Int()
	if err != nil {
		return false, fmt.Errorf("count job %s in the window: %w", p.Job, err)
	}
	return n == 1, nil
}

// Waits reports whether a job stands in the queue of the window.
func (s *Store) Waits(ctx context.Context, job string) (bool, error) {
	waits, err := s.rdb.HExists(ctx, windowKeys+"waiting", job).Result()
	if err != nil {
		return false, fmt.Errorf("look for job %s in the window's queue: %w", job, err)
	}
	return waits, nil
}

// A Slot is in use.
type Slot struct {
	Job   string
	Epoch int // in which the job came by it
}

// Slots returns some of the slots in use, and where to go on: from 0 until it is 0 again. A slot may come twice.
func (s *Store) Slots(ctx context.Context, from uint64) (some []Slot, next uint64, err error) {
	fields, next, err := s.rdb.HScan(ctx, windowKeys+"slots", from, "", windowPage).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("look at the window: %w", err)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		text, _, _ := strings.Cut(fields[i+1], "|")
		epoch, err := strconv.Atoi(text)
		if err != nil {
			return nil, 0, fmt.Errorf("look at the window: the slot of job %s: %w", fields[i], err)
		}
		some = append(some, Slot{Job: fields[i], Epoch: epoch})
	}
	return some, next, nil
}

// WithoutSlot returns those of the jobs that have no slot.
func (s *Store) WithoutSlot(ctx context.Context, jobs []string) ([]string, error) {
	slots, err := s.rdb.HMGet(ctx, windowKeys+"slots", jobs...).Result()
	if err != nil {
		return nil, fmt.Errorf("look at the window: %w", err)
	}
	var without []string
	for i, slot := range slots {
		if slot == nil {
			without = append(without, jobs[i])
		}
	}
	return without, nil
}

// Window counts the slots in use and the jobs that wait for one.
func (s *Store) Window(ctx context.Context) (used, waiting int64, err error) {
	pipe := s.rdb.Pipeline()
	slots, queue := pipe.HLen(ctx, windowKeys+"slots"), pipe.HLen(ctx, windowKeys+"waiting")
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, 0, fmt.Errorf("look at the window: %w", err)
	}
	return slots.Val(), queue.Val(), nil
}
