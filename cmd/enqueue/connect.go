package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/tracing"
	"github.com/seed-290c2414/hourglass/tasks"
)

// answerWithin is how long Redis may take for its first answer.
const answerWithin = 5 * time.Second

// newClient returns a client that hands the trace of its calls on to the workers.
func newClient(rdb redis.UniversalClient) *tasks.Client {
	return tasks.NewClient(rdb, tasks.WithTrace(tracing.Headers))
}

// withClient runs do with a client of a Redis that answers.
func withClient(ctx context.Context, c *cli.Command, do func(*tasks.Client) error) error {
	return withRedis(ctx, c, func(rdb redis.UniversalClient) error { return do(newClient(rdb)) })
}

// withManyCalls is withClient for one that is asked for much at a time.
func withManyCalls(ctx context.Context, c *cli.Command, do func(*tasks.Client, *records.Store) error) error {
	return withRedis(ctx, c, func(rdb redis.UniversalClient) error {
		pipelined, err := records.Pipelined(rdb)
		if err != nil {
			return err
		}
		return do(newClient(pipelined), records.New(rdb))
	})
}

func withRedis(ctx context.Context, c *cli.Command, do func(redis.UniversalClient) error) (err error) {
	url, err := settings.Redis(c)
	if err != nil {
		return err
	}
	rdb, err := records.Connect(url)
	if err != nil {
		return settings.Usage("REDIS_URL: %w", err)
	}
	defer func() {
		if err != nil {
			go func() { _ = rdb.Close() }() // it may wait for answers that don't come, and the program is about to end
			return
		}
		err = rdb.Close()
	}()
	if err := ping(ctx, rdb); err != nil {
		return err
	}
	err = unreachable(do(rdb))
	if err != nil && codeOf(err) == exitFailure && errors.Is(ping(ctx, rdb), errUnreachable) {
		err = fmt.Errorf("%w: it answers no more: %w", errUnreachable, err)
	}
	return err
}

// ping asks whether Redis answers.
func ping(ctx context.Context, rdb redis.UniversalClient) error {
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err := rdb.Ping(asking).Err()
	switch {
	case err == nil || ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer within %s; is it running, and is the address right?", errUnreachable, answerWithin)
	case errors.Is(unreachable(err), errUnreachable):
		return unreachable(err)
	}
	return fmt.Errorf("REDIS_URL: Redis answers, but refuses: %w; see user, password and database", err)
}
