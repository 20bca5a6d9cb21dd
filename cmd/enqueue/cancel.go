package main

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func cancelCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "cancel",
		Usage:     "cancel jobs: before the create at no cost; after it they are only not followed any more",
		ArgsUsage: "ID...",
		Description: `   enqueue cancel order-4711

The API can't cancel: a project that was created goes on at Magic Hour, is charged, and is left there. A job
whose files are all stored can't be canceled. Prints each job as it stands afterwards, and exits 1 if any can't be canceled.`,
		ShellComplete: complete(nil, jobIDs(tasks.Pending, tasks.Creating, tasks.Unknown, tasks.Rendering, tasks.Storing)),
		Action: func(ctx context.Context, c *cli.Command) error {
			return eachJob(ctx, c, stdout, func(client *tasks.Client, id string) (*tasks.Job, error) {
				return client.Cancel(ctx, id)
			})
		},
	}
}

func retryCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "retry",
		Usage:     "put failed jobs back on the road at the stage that failed, with the project they have paid for",
		ArgsUsage: "ID...",
		Description: `   enqueue retry order-4711

Nothing is bought again unless nothing was bought. A render that failed was refunded and stays as it is:
--recreate buys a new one. A job that failed while nobody knew whether it was charged becomes unknown: see
enqueue resolve. Prints each job as it stands afterwards, and exits 1 if any can't be retried.`,
		ShellComplete: complete(nil, jobIDs(tasks.Failed)),
		Flags:         []cli.Flag{&cli.BoolFlag{Name: "recreate", Usage: "buy a new project, whatever was bought before"}},
		Action: func(ctx context.Context, c *cli.Command) error {
			return eachJob(ctx, c, stdout, func(client *tasks.Client, id string) (*tasks.Job, error) {
				return client.Retry(ctx, id, c.Bool("recreate"))
			})
		},
	}
}

// eachJob does something with every job that the arguments name, and prints it as it stands afterwards.
func eachJob(ctx context.Context, c *cli.Command, stdout io.Writer, do func(*tasks.Client, string) (*tasks.Job, error)) error {
	return eachID(ctx, c, func(client *tasks.Client, id string) error {
		job, err := do(client, id)
		if err != nil {
			return err
		}
		return printJob(stdout, job, c.Bool("json"))
	})
}

// eachID does something with every id that the arguments name. One that it can't be done with does not keep it from the
// others.
func eachID(ctx context.Context, c *cli.Command, do func(*tasks.Client, string) error) error {
	ids := c.Args().Slice()
	if len(ids) == 0 {
		return settings.Usage("want at least one ID")
	}
	for _, id := range ids {
		if err := tasks.CheckID(id); err != nil {
			return settings.Usage("%w", err)
		}
	}
	return withClient(ctx, c, func(client *tasks.Client) error {
		var errs []error
		for _, id := range ids {
			errs = append(errs, do(client, id))
		}
		return errors.Join(errs...)
	})
}
