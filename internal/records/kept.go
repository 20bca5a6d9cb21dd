package records

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Sighting says that a webhook has shown a project whose name carries the tag of a purchase. It is
// kept until it is known which job the project belongs to, since it may come before the job is
// parked, or from the environment of somebody else who shares the account.
type Sighting struct {
	Job, Token    string // the tag: [<job>~<token>]
	Kind, Project string
}

// Three sorted sets hold the sightings, each under the same text: by job, for a create that parks
// one; by age, for trimming; and by the time at which the sweeper is to look again.
var sightings = []string{"hourglass:{fleet}:sightings", "hourglass:{fleet}:sightings:since", "hourglass:{fleet}:sightings:due"}

const (
	keptFor    = 24 * time.Hour // as long as Magic Hour itself repeats an event
	keptMost   = 20_000         // about 10 MB; an environment that shares the account may be busy
	firstLook  = 15 * time.Second
	looksApart = time.Hour // at most: a job may be parked at any time, by a person too
)

// String is the text that sightings are kept under. No part but the last can hold a separator.
func (s Sighting) String() string {
	return s.Job + "~" + s.Token + "/" + s.Kind + "/" + s.Project
}

func readSighting(text string) (s Sighting, ok bool) {
	job, rest, _ := strings.Cut(text, "~")
	token, rest, _ := strings.Cut(rest, "/")
	kind, project, ok := strings.Cut(rest, "/")
	return Sighting{Job: job, Token: token, Kind: kind, Project: project}, ok
}

var keep = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now), ARGV[1])
redis.call('ZADD', KEYS[3], 'NX', string.format('%.0f', now + ARGV[2]), ARGV[1])
local over = math.min(redis.call('ZCARD', KEYS[2]) - ARGV[3], 1000)
if over > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, over - 1)
  for _, key in ipairs(KEYS) do redis.call('ZREM', key, unpack(oldest)) end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[4]) end
return 1
`)

// Keep keeps a sighting for a day; of too many it keeps the youngest. May be repeated, which makes
// none of them younger.
func (s *Store) Keep(ctx context.Context, seen Sighting) error { return s.keep(ctx, seen, keptMost) }

func (s *Store) keep(ctx context.Context, seen Sighting, most int) error {
	err := keep.Run(ctx, s.rdb, sightings, seen.String(), firstLook.Microseconds(), most, keptFor.Milliseconds()).Err()
	if err != nil {
		return fmt.Errorf("keep the sighting of project %s: %w", seen.Project, err)
	}
	return nil
}

// Kept returns the sightings of a job's projects.
func (s *Store) Kept(ctx context.Context, job string) ([]Sighting, error) {
	texts, err := s.rdb.ZRangeByLex(ctx, sightings[0], &redis.ZRangeBy{Min: "[" + job + "~", Max: "(" + job + "\x7f"}).Result()
	if err != nil {
		return nil, fmt.Errorf("look for sightings of job %s: %w", job, err)
	}
	return readSightings(texts), nil
}

var due = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local found = {}
for _, text in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])) do
  local age = now - (redis.call('ZSCORE', KEYS[2], text) or 0)
  if age >= tonumber(ARGV[3]) then
    for _, key in ipairs(KEYS) do redis.call('ZREM', key, text) end
  else
    redis.call('ZADD', KEYS[3], string.format('%.0f', now + math.min(math.max(age, ARGV[2]), ARGV[3] - age, ARGV[4])), text)
    found[#found + 1] = text
  end
end
return found
`)

// DueSightings returns up to limit sightings that are to be looked at now. Each comes back when it is twice
// as old or an hour older, to whichever worker asks then: some thirty times in all, and after a day never
// again.
func (s *Store) DueSightings(ctx context.Context, limit int) ([]Sighting, error) {
	texts, err := due.Run(ctx, s.rdb, sightings, limit, firstLook.Microseconds(), keptFor.Microseconds(), looksApart.Microseconds()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("look for sightings: %w", err)
	}
	return readSightings(texts), nil
}

func readSightings(texts []string) []Sighting {
	var found []Sighting
	for _, text := range texts {
		if seen, ok := readSighting(text); ok {
			found = append(found, seen)
		}
	}
	return found
}

// Drop forgets a sighting that nothing is to be learnt from any more. May be repeated.
func (s *Store) Drop(ctx context.Context, seen Sighting) error {
	pipe := s.rdb.Pipeline()
	for _, key := range sightings {
		pipe.ZRem(ctx, key, seen.String())
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("drop the sighting of project %s: %w", seen.Project, err)
	}
	return nil
}

// Owner returns the job that has claimed a project; empty if none has.
func (s *Store) Owner(ctx context.Context, project string) (string, error) {
	owner, err := s.rdb.Get(ctx, projectKey(project)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("look for the job of project %s: %w", project, err)
	}
	return owner, nil
}

func wokenKey(job string) string { return "hourglass:{" + job + "}:woken" }

// wokenFor is longer than a poll takes.
const wokenFor = 5 * time.Minute

// Wake leaves a mark beside the record of a job, for the poll that may be under way: it has asked
// too early, and is to ask again at once.
func (s *Store) Wake(ctx context.Context, job string) error {
	if err := s.rdb.Set(ctx, wokenKey(job), 1, wokenFor).Err(); err != nil {
		return fmt.Errorf("wake job %s: %w", job, err)
	}
	return nil
}

// Woken takes the mark of Wake away, and reports whether it was there.
func (s *Store) Woken(ctx context.Context, job string) (bool, error) {
	n, err := s.rdb.Del(ctx, wokenKey(job)).Result()
	if err != nil {
		return false, fmt.Errorf("see whether job %s was woken: %w", job, err)
	}
	return n > 0, nil
}
