package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func holdCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "hold",
		Usage:     "hold a stage of the whole fleet until it is released; without one, show what is held",
		ArgsUsage: "[STAGE]",
		Description: `What is under way at the stage comes to its end; the jobs that wait for it say so, and none of them fails or loses
an attempt. A hold outlives the workers.`,
		Flags: []cli.Flag{&cli.StringFlag{Name: "reason", Usage: "`TEXT` that the held jobs show"}},
		Action: func(ctx context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return withHolds(c, func(h *pipeline.Holds) error { return showHolds(ctx, h, stdout) })
			}
			stage, err := stageArgument(c)
			if err != nil {
				return err
			}
			return withHolds(c, func(h *pipeline.Holds) error {
				isNew, err := h.ByHand(ctx, stage, c.String("reason"))
				if err != nil {
					return err
				}
				said := "held"
				if !isNew {
					said = "held already; to change the reason, release it first"
				}
				_, err = fmt.Fprintf(stdout, "%s: %s\n", stage, said)
				return err
			})
		},
	}
}

func releaseCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "release",
		Usage:     "let a stage of the whole fleet go on, whatever held it",
		ArgsUsage: "STAGE",
		Action: func(ctx context.Context, c *cli.Command) error {
			stage, err := stageArgument(c)
			if err != nil {
				return err
			}
			return withHolds(c, func(h *pipeline.Holds) error {
				released, err := h.Release(ctx, stage)
				if err != nil {
					return err
				}
				if len(released) == 0 {
					_, err = fmt.Fprintf(stdout, "%s: was not held\n", stage)
					return err
				}
				for _, s := range released {
					if _, err := fmt.Fprintf(stdout, "%s: released, held since %s: %s: %s\n", stage, s.Since.Format(time.RFC3339), s.Code, s.Message); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// stageArgument is the one argument: a stage.
func stageArgument(c *cli.Command) (tasks.Stage, error) {
	stage := tasks.Stage(c.Args().First())
	if c.Args().Len() != 1 || !slices.Contains(tasks.Stages(), stage) {
		return "", settings.Usage("want one STAGE: create, poll, download or cleanup")
	}
	return stage, nil
}

func showHolds(ctx context.Context, h *pipeline.Holds, stdout io.Writer) error {
	all, err := h.All(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(stdout, "nothing is held")
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, s := range all {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", s.Stage, s.Since.Format(time.RFC3339), s.Code, s.Message)
	}
	return table.Flush()
}

// withHolds speaks to Redis alone: no key of the API, and no store, is needed to hold a stage.
func withHolds(c *cli.Command, do func(*pipeline.Holds) error) error {
	url, err := settings.Redis(c)
	if err != nil {
		return err
	}
	var rdb redis.UniversalClient
	if rdb, err = records.Connect(url); err != nil {
		return settings.Usage("REDIS_URL: %w", err)
	}
	defer func() { _ = rdb.Close() }()
	if err := do(pipeline.NewHolds(rdb)); err != nil {
		return fmt.Errorf("%w; is REDIS_URL right, and is Redis there?", err)
	}
	return nil
}
