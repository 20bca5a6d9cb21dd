package main

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

// answerWithin is how long Redis may take for its first answer.
const answerWithin = 5 * time.Second

// withClient runs do with a client of a Redis that answers.
func withClient(ctx context.Context, c *cli.Command, do func(*tasks.Client) error) (err error) {
	rdb, err := records.Connect(c.String(settings.FlagName("REDIS_URL")))
	if err != nil {
		return settings.Usage("REDIS_URL: %w", err)
	}
	defer func() { err = errors.Join(err, rdb.Close()) }()
	asking, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := rdb.Ping(asking).Err(); err != nil {
		return unreachable(err)
	}
	err = do(tasks.NewClient(rdb))
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		return unreachable(err)
	}
	return err
}
