package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	varBaseURL = "MAGIC_HOUR_BASE_URL"
	varKey     = "MAGIC_HOUR_API_KEY"
)

func resolveCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "resolve",
		Usage:     "say what became of a purchase that nobody knows the outcome of",
		ArgsUsage: "ID",
		Description: `A job is unknown when the answer to its paid request was lost. Its project, if there is one, has a name in
the Magic Hour library that ends in the job's id, as the job's hint says:

   enqueue resolve ID --project PROJECT   it was made: follow it
   enqueue resolve ID --recreate          it was not, or the risk of a second charge is taken: buy it
   enqueue resolve ID --fail              give it up

--project asks the API whether that is the project, which takes ` + varKey + ` (or ` + varKey + `_FILE).

After Redis was restored from a backup, and before any worker is started again:

   enqueue resolve --restored-before 2026-11-25T06:00:00Z

parks every job that may have been bought since the backup was made; the time is any after the backup and before
the first job that was submitted to the restored Redis.`,
		ShellComplete: complete(nil, jobIDs(tasks.Unknown)),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "project", Usage: "`PROJECT`, Magic Hour's id, was made for the job: follow it"},
			&cli.BoolFlag{Name: "force", Usage: "take the project without asking the API whether it is the job's"},
			&cli.BoolFlag{Name: "recreate", Usage: "buy it, at the risk of a second charge"},
			&cli.BoolFlag{Name: "fail", Usage: "give it up: the job fails"},
			&cli.StringFlag{Name: "restored-before", Usage: "park every job without a project that was last changed before this `TIME`, such as 2026-11-25T06:00:00Z"},
			baseURLFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.IsSet("restored-before") {
				return parkRestored(ctx, c, stdout, stderr)
			}
			r := tasks.Resolution{Project: c.String("project"), Recreate: c.Bool("recreate"), Fail: c.Bool("fail")}
			if err := oneOf(r.Project != "", r.Recreate, r.Fail); err != nil {
				return err
			}
			if c.Args().Len() != 1 {
				return settings.Usage("want one ID; got %d arguments", c.Args().Len())
			}
			return eachJob(ctx, c, stdout, func(client *tasks.Client, id string) (*tasks.Job, error) {
				if r.Project != "" && !c.Bool("force") {
					if err := checkProject(ctx, c, client, id, r.Project); err != nil {
						return nil, err
					}
				}
				return client.Resolve(ctx, id, r)
			})
		},
	}
}

// oneOf refuses anything but one choice.
func oneOf(choices ...bool) error {
	made := 0
	for _, choice := range choices {
		if choice {
			made++
		}
	}
	if made != 1 {
		return settings.Usage("want one of --project PROJECT, --recreate and --fail")
	}
	return nil
}

// checkProject asks the API whether a project was made for a job: it must be of the job's kind, and have a name that
// says so.
func checkProject(ctx context.Context, c *cli.Command, client *tasks.Client, id, project string) error {
	job, err := client.Job(ctx, id)
	if err != nil {
		return err
	}
	api, err := newAPI(c)
	if err != nil {
		return settings.Usage("%w; or give --force to take the project unseen", err)
	}
	found, err := api.Project(ctx, operations.Kind(job.Kind), project)
	var answer *magichour.Error
	switch {
	case errors.As(err, &answer) && answer.Status == http.StatusNotFound, err == nil && found.Deleted():
		return fmt.Errorf("there is no %s project %s in this account: see the id, or give --force", job.Kind, project)
	case err != nil:
		return fmt.Errorf("ask the API for project %s: %w; mend that, or give --force to take the project unseen", project, err)
	case !strings.Contains(string(found.Name), "["+id+"~"):
		return fmt.Errorf("project %s is named %q, which is not what job %s named its own: see the id, or give --force", project, found.Name, id)
	}
	return nil
}

// parkRestored parks what a restored Redis may have forgotten the purchase of.
func parkRestored(ctx context.Context, c *cli.Command, stdout, stderr io.Writer) error {
	before, err := time.Parse(time.RFC3339, c.String("restored-before"))
	if err != nil {
		return settings.Usage("--restored-before: want a time such as 2026-11-25T06:00:00Z, not %q", c.String("restored-before"))
	}
	if c.Args().Present() || c.IsSet("project") || c.IsSet("recreate") || c.IsSet("fail") || c.IsSet("force") {
		return settings.Usage("--restored-before stands alone: it looks at all jobs")
	}
	return withClient(ctx, c, func(client *tasks.Client) error {
		var errs []error
		parked := 0
		for job, err := range client.ParkRestored(ctx, before) {
			if err == nil {
				parked++
				err = printJob(stdout, job, c.Bool("json"))
			}
			errs = append(errs, err)
		}
		_, _ = fmt.Fprintf(stderr, "%s parked\n", plural(parked, "job"))
		return errors.Join(errs...)
	})
}
