package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func waitCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:        "wait",
		Usage:       "wait until jobs are done, failed, canceled or unknown, and print each as it comes",
		ArgsUsage:   "ID...",
		Description: "Exits 3 if any job is not done. Jobs go on whether or not somebody waits.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Usage: "give up waiting after this `DURATION`; 0 waits for ever", Validator: func(d time.Duration) error {
				if d < 0 {
					return settings.Usage("--timeout: must not be negative: %s", d)
				}
				return nil
			}},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			ids := c.Args().Slice()
			if len(ids) == 0 {
				return settings.Usage("want at least one ID")
			}
			for _, id := range ids {
				if err := tasks.CheckID(id); err != nil {
					return settings.Usage("%w", err)
				}
			}
			if d := c.Duration("timeout"); d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			return withClient(ctx, c, func(client *tasks.Client) error {
				return wait(ctx, client, ids, c.Bool("json"), stdout, stderr)
			})
		},
	}
}

// waited is what came of waiting for one job.
type waited struct {
	job *tasks.Job
	err error
}

// wait prints each job as it settles.
func wait(ctx context.Context, client *tasks.Client, ids []string, asJSON bool, stdout, stderr io.Writer) error {
	_, _ = fmt.Fprintf(stderr, "waiting for %s\n", jobs(len(ids)))
	settled := make(chan waited)
	for _, id := range ids {
		go func() {
			job, err := client.Wait(ctx, id)
			settled <- waited{job, err}
		}()
	}
	var errs []error
	for range ids {
		w := <-settled
		if w.err != nil {
			errs = append(errs, w.err)
			continue
		}
		if w.job.State != tasks.Done {
			errs = append(errs, fmt.Errorf("%w: %s is %s", errJobFailed, w.job.ID, w.job.State))
		}
		if err := printJob(stdout, w.job, asJSON); err != nil {
			errs = append(errs, err)
		}
	}
	if ctx.Err() != nil {
		_, _ = fmt.Fprintf(stderr, "the jobs go on; wait for them again with: enqueue wait %s\n", strings.Join(ids, " "))
		return ctx.Err()
	}
	return errors.Join(errs...)
}

func jobs(n int) string {
	if n == 1 {
		return "1 job"
	}
	return fmt.Sprintf("%d jobs", n)
}
