package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

// listed is how many jobs list shows unless told otherwise.
const listed = 100

func listCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list jobs, the one whose state changed last first",
		Description: `   enqueue list --state failed,unknown --since 24h

Shows jobs that are on the road and, for as long as their records are kept, those that have ended. On a terminal the table fits
its width, and done, failed and unknown have colours, unless NO_COLOR is set. It costs nothing and changes nothing.

FOR is how long a job has been in its state. One that changes its state just now may be missed; one that
was enqueued as a bare task is listed once a worker has seen it.`,
		ShellComplete: complete(map[string]offers{"state": these(stateNames()...), "operation": these(operationNames()...)}, nil),
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "state", Usage: "only jobs in these `STATES`: " + strings.Join(stateNames(), ", ")},
			&cli.StringFlag{Name: "operation", Usage: "only jobs of this `OPERATION`"},
			&cli.StringFlag{Name: "tenant", Usage: "only jobs on behalf of this `TENANT`"},
			&cli.DurationFlag{Name: "since", Usage: "only jobs whose state changed within this `DURATION`, such as 90m or 24h"},
			&cli.BoolFlag{Name: "held", Usage: "only jobs that are held"},
			&cli.IntFlag{Name: "limit", Value: listed, Usage: "at most this `NUMBER` of jobs; 0: all"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			filter, err := filterOf(c)
			if err != nil {
				return err
			}
			return withClient(ctx, c, func(client *tasks.Client) error {
				return list(ctx, client, filter, c.Int("limit"), c.Bool("json"), stdout, stderr)
			})
		},
	}
}

func stateNames() []string {
	var names []string
	for _, s := range tasks.States() {
		names = append(names, string(s))
	}
	return names
}

func filterOf(c *cli.Command) (tasks.Filter, error) {
	f := tasks.Filter{Operation: c.String("operation"), Tenant: c.String("tenant"), Held: c.Bool("held")}
	if c.Args().Present() {
		return f, settings.Usage("unexpected argument %q; see enqueue list --help", c.Args().First())
	}
	for _, name := range c.StringSlice("state") {
		if !slices.Contains(stateNames(), name) {
			return f, settings.Usage("--state: no state is called %q: want some of %s", name, strings.Join(stateNames(), ","))
		}
		f.States = append(f.States, tasks.State(name))
	}
	if _, known := operations.Lookup(f.Operation); f.Operation != "" && !known {
		return f, settings.Usage("--operation: %s", operations.Unknown(f.Operation))
	}
	if d := c.Duration("since"); d < 0 {
		return f, settings.Usage("--since: must not be negative: %s", d)
	} else if d > 0 {
		f.Since = time.Now().Add(-d)
	}
	if c.Int("limit") < 0 {
		return f, settings.Usage("--limit: must not be negative: %d", c.Int("limit"))
	}
	return f, nil
}

// list prints the jobs that the filter takes: as a table, or each as it comes.
func list(ctx context.Context, client *tasks.Client, f tasks.Filter, limit int, asJSON bool, stdout, stderr io.Writer) error {
	var errs []error
	table := newTable(stdout)
	shown := 0
	for job, err := range client.List(ctx, f) {
		switch {
		case err != nil:
			errs = append(errs, err)
			continue
		case limit > 0 && shown == limit:
			errs = append(errs, table.write(stdout))
			_, _ = fmt.Fprintf(stderr, "there are more: --limit %d shows twice as many, --limit 0 all\n", 2*limit)
			return errors.Join(errs...)
		case asJSON:
			err = printJSON(stdout, job)
		default:
			if shown == 0 {
				table.add("ID", "OPERATION", "STATE", "FOR", "CREDITS", "NOTE")
			}
			table.add(job.ID, job.Operation, string(job.State), since(job.StateAt), strconv.Itoa(job.CreditsCharged), note(job))
		}
		if err != nil {
			return err
		}
		shown++
	}
	if shown == 0 && len(errs) == 0 {
		_, _ = fmt.Fprintln(stderr, "no such jobs")
	}
	return errors.Join(append(errs, table.write(stdout))...)
}

// since is how long something lasts already, in one or two units.
func since(at time.Time) string {
	d := time.Since(at)
	switch {
	case at.IsZero():
		return ""
	case d < time.Second:
		return "0s"
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// wishes are what the caller has said of the job's turn.
func wishes(o tasks.Options) string {
	text := ""
	if o.Priority != "" {
		text += string(o.Priority) + " "
	}
	if o.Tenant != "" {
		text += "for " + o.Tenant + " "
	}
	return text
}

// note is the one thing to know about a job where it stands.
func note(job *tasks.Job) string {
	text := ""
	switch {
	case job.Hold != nil:
		text = "held: " + job.Hold.Message
	case job.Error != nil:
		text = job.Error.Code + ": " + job.Error.Message
	case job.RemoteReason != nil:
		text = "remote " + string(*job.Remote) + ": " + *job.RemoteReason
	case job.State == tasks.Rendering:
		text = strings.TrimSpace(fmt.Sprintf("poll %d %s", job.Polls, job.RemoteStatus))
	case len(job.Outputs) > 0:
		text = plural(len(job.Outputs), "file")
	}
	if turn := strings.TrimSpace(wishes(job.Options)); turn != "" && text != "" {
		text = turn + ": " + text
	} else {
		text = turn + text
	}
	return oneLine(text, longestNote)
}

const longestNote = 80 // characters

// oneLine is a text without line breaks and tabs, cut to so many characters.
func oneLine(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:max(0, most-1)]) + "…"
	}
	return text
}
