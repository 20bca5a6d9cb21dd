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

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func waitCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "wait",
		Usage:     "wait until jobs are done, failed, canceled or unknown, and print each as it comes",
		ArgsUsage: "ID...|-",
		Description: `   enqueue wait order-4711 order-4712 --timeout 1h
   enqueue batch jobs.jsonl | enqueue wait -

- reads the ids from standard input. It costs nothing, and jobs go on whether or not somebody waits. A terminal shows a bar for
each job, filled by its age and when it is expected, and elsewhere stderr has a line for each change of state, or the counts of
more than ` + strconv.Itoa(fewJobs) + ` jobs every ten seconds. A Redis that goes away is waited for until --timeout.

Exits 0 if all jobs are done, 3 if any is not, 124 at the timeout, and 130 if interrupted.`,
		ShellComplete: complete(nil, jobIDs(tasks.Pending, tasks.Creating, tasks.Rendering, tasks.Storing, tasks.Cleaning)),
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
			if slices.Equal(ids, []string{"-"}) {
				text, err := unlessInterrupted(ctx, func() ([]byte, error) { return io.ReadAll(stdin) })
				if err != nil {
					return err
				}
				if ids = strings.Fields(string(text)); len(ids) == 0 {
					return settings.Usage("standard input holds no ID")
				}
			}
			if len(ids) == 0 || len(ids) > mostWaited {
				return settings.Usage("want from 1 to %d IDs, got %d; for an overview of many see enqueue list", mostWaited, len(ids))
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

// mostWaited bounds the memory: each job is waited for by itself.
const mostWaited = 10_000

// waited is what came of waiting for one job.
type waited struct {
	id  string
	job *tasks.Job
	err error
}

// wait prints each job as it settles.
func wait(ctx context.Context, client *tasks.Client, ids []string, asJSON bool, stdout, stderr io.Writer) error {
	v := newView(ids, asJSON, stdout, stderr)
	defer v.close()
	settled := make(chan waited)
	for _, id := range ids {
		go func() {
			job, err := client.Watch(ctx, id, v.see)
			settled <- waited{id, job, err}
		}()
	}
	var errs []error
	var left []string
	for range ids {
		w := <-settled
		switch {
		case w.err != nil && ctx.Err() != nil && !errors.Is(w.err, tasks.ErrNotFound):
			left = append(left, w.id)
			v.settle(w.id, w.job)
			continue
		case w.err != nil:
			_, _ = fmt.Fprintf(v.stderr, "%v\n", w.err) // at once: others may take hours
			errs = append(errs, w.err)
			v.settle(w.id, nil)
		default:
			errs = append(errs, printSettled(v.stdout, w.job, asJSON))
			v.settle(w.id, w.job)
		}
	}
	v.close()
	return errors.Join(append(errs, goOn(ctx, left, stderr))...)
}

// printSettled prints a settled job; one that is not done is an error.
func printSettled(stdout io.Writer, job *tasks.Job, asJSON bool) error {
	err := printJob(stdout, job, asJSON)
	if job.State != tasks.Done {
		err = errors.Join(err, fmt.Errorf("%w: %s is %s", errJobFailed, job.ID, job.State))
	}
	return err
}

// goOn says what becomes of the jobs that nobody waits for any more.
func goOn(ctx context.Context, left []string, stderr io.Writer) error {
	if len(left) == 0 {
		return nil
	}
	again := "the same IDs"
	if len(left) <= 20 {
		again = "enqueue wait " + strings.Join(left, " ")
	}
	_, _ = fmt.Fprintf(stderr, "%s not settled yet, and going on; wait again with: %s\n", plural(len(left), "job"), again)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errTimeout
	}
	return errInterrupted
}

// plural counts in words: 1 job, 2 jobs.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
