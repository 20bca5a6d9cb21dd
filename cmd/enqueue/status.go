package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func statusCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "print where a job stands",
		ArgsUsage: "ID",
		Description: `   enqueue status order-4711 --json

It costs nothing and waits for nothing: enqueue wait does. Exits 0 whatever the state is, and 1 if there is no record of the job.`,
		ShellComplete: complete(nil, jobIDs()),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return settings.Usage("want one ID; got %d arguments", c.Args().Len())
			}
			if err := tasks.CheckID(c.Args().First()); err != nil {
				return settings.Usage("%w", err)
			}
			return withClient(ctx, c, func(client *tasks.Client) error {
				job, err := client.Job(ctx, c.Args().First())
				if err != nil {
					return err
				}
				return printJob(stdout, job, c.Bool("json"))
			})
		},
	}
}

func printJob(w io.Writer, job *tasks.Job, asJSON bool) error {
	if asJSON {
		return printJSON(w, job)
	}
	return printText(w, job)
}

// printJSON prints what everybody may know of the job, in one line.
func printJSON(w io.Writer, job *tasks.Job) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(job.View())
}

// timeLeft says an estimate in words. It is as old as the last poll.
func timeLeft(d time.Duration) string {
	switch {
	case d <= 0:
		return "ready at any moment"
	case d < time.Minute:
		return fmt.Sprintf("about %ds left", int(d.Seconds())+1)
	}
	return fmt.Sprintf("about %s left", strings.TrimSuffix(d.Round(time.Minute).String(), "0s"))
}

// printText prints a line about the job, and one for each of its files and troubles.
func printText(w io.Writer, job *tasks.Job) error {
	line := fmt.Sprintf("%s\t%s\t%s", job.ID, job.Operation, job.State)
	if text := wishes(job.Options); text != "" {
		line += "\t" + strings.TrimSpace(text)
	}
	if job.ProjectID != "" {
		line += "\tproject " + job.ProjectID
	}
	if job.State == tasks.Rendering {
		line += fmt.Sprintf("\tpoll %d", job.Polls)
		if job.RemoteStatus != "" {
			line += ", last seen " + job.RemoteStatus
		}
		if job.ETA != nil {
			line += ", " + timeLeft(time.Until(*job.ETA))
		}
	}
	for _, o := range job.Outputs {
		line += fmt.Sprintf("\n  %s\t%d bytes\t%s", o.URL, o.Size, o.Checksum)
	}
	if h := job.Hold; h != nil {
		line += fmt.Sprintf("\n  held since %s: %s: %s", h.Since.Format(time.RFC3339), h.Code, h.Message)
	}
	if e := job.Error; e != nil {
		line += fmt.Sprintf("\n  %s: %s: %s\n  to do: %s", e.Stage, e.Code, e.Message, e.Hint)
	}
	if job.RemoteReason != nil {
		line += fmt.Sprintf("\n  remote project %s: %s", *job.Remote, *job.RemoteReason)
	}
	for _, warning := range job.Warnings {
		line += "\n  warning: " + warning
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
