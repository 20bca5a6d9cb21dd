package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

const batchHelp = `Each line is one job in JSON; - reads standard input:

   {"id":"clip-1","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}}

The fields are id, operation, body and options, such as {"overwrite":true,"priority":"low","tenant":"acme"}, which
are those that submit has as flags. A CSV file, named *.csv or with --csv, has a row of names first: id, operation,
options.tenant, options.metadata.order, ..., and paths in the body, such as style.prompt; --map names the columns of
another file. A cell is read as the type that the operation wants there; an empty one is not given:

   enqueue batch clips.csv --operation text-to-video --map Prompt=style.prompt --map Notes= --set end_seconds=5

Every line is checked before the first job is enqueued: if one is bad, none is. Lines with an id are safe to submit
again, so a batch that was interrupted is finished by running it once more: only what is missing is submitted. A line
without an id is a new job each time, unless --id-prefix gives it one; --dry-run prints the lines with ids made for them:

   enqueue batch jobs.jsonl --dry-run > with-ids.jsonl

A copy of the checked lines stands in a temporary file (TMPDIR), not in memory, until the end.

` + filesHelp

func batchCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:        "batch",
		Usage:       "submit many jobs, one in each line of a file, and print their ids",
		ArgsUsage:   "FILE|-",
		Description: batchHelp,
		Flags: append(formFlags(),
			&cli.IntFlag{Name: "concurrency", Value: defaultConcurrency, Usage: "the number of jobs on their way to Redis at a time, `N`"},
			baseURLFlag(), dryRunFlag()),
		// A comma is part of a prompt, not a separator.
		DisableSliceFlagSeparator: true,
		Action: func(ctx context.Context, c *cli.Command) error {
			concurrency := c.Int("concurrency")
			if concurrency < 1 || concurrency > mostConcurrency {
				return settings.Usage("--concurrency %d: want 1 to %d", concurrency, mostConcurrency)
			}
			// What lives is little, and what passes through is much: collected half as often, it takes an eighth less time.
			defer debug.SetGCPercent(debug.SetGCPercent(200))
			b, err := openBatch(ctx, c, stdin, stderr)
			if err != nil {
				return err
			}
			defer b.close()
			err = b.refused()
			if c.Bool(dryRun) {
				b.report()
			}
			switch {
			case err != nil:
				return err
			case c.Bool(dryRun):
				return b.print(stdout)
			}
			return b.handIn(ctx, c, concurrency, stdout)
		},
	}
}

// openBatch reads and checks what the arguments name.
func openBatch(ctx context.Context, c *cli.Command, stdin io.Reader, stderr io.Writer) (*batch, error) {
	if c.Args().Len() != 1 {
		return nil, settings.Usage("want one FILE, or - for standard input; got %d arguments", c.Args().Len())
	}
	name := c.Args().First()
	f, err := formOf(c, name)
	if err != nil {
		return nil, err
	}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, settings.Usage("%w", err)
		}
		defer func() { _ = file.Close() }()
		stdin = file
	}
	b, err := newBatch(f, say{stderr, c.Bool("json")})
	if err != nil {
		return nil, err
	}
	stop := b.progress.tell(ctx, stderr)
	defer stop()
	_, err = unlessInterrupted(ctx, func() (bool, error) { return true, b.read(ctx, stdin) })
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w; nothing was enqueued", ctx.Err())
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// handIn uploads the files that the lines name, and submits the jobs.
func (b *batch) handIn(ctx context.Context, c *cli.Command, concurrency int, stdout io.Writer) error {
	var api *magichour.Client
	var err error
	if len(b.local.all) > 0 {
		if api, err = newAPI(c); err != nil {
			return err
		}
	}
	signal.Ignore(syscall.SIGPIPE) // whoever stops reading must not lose the ids of what was accepted
	return traced(ctx, "enqueue batch", b.say.stderr, func(ctx context.Context) error {
		return withManyCalls(ctx, c, func(client *tasks.Client, store *records.Store) error {
			u := &uploader{api, store, b.say.stderr}
			if err := u.recall(ctx, &b.local); err != nil {
				return err
			}
			s := &submission{batch: b, client: client, atOnce: concurrency, asJSON: c.Bool("json"), stdout: stdout}
			if err := s.checkIDs(ctx); err != nil {
				return err
			}
			if err := u.upload(ctx, &b.local); err != nil {
				return err
			}
			return s.submit(ctx)
		})
	})
}

// refused says what is wrong with the lines. Nothing is enqueued if something is.
func (b *batch) refused() error {
	b.printWarnings()
	switch {
	case b.bad > 0:
		b.printProblems()
		return fmt.Errorf("%w: %s refused; nothing was enqueued", tasks.ErrInvalid, plural(b.bad, "line"))
	case b.spool.lines == 0:
		return fmt.Errorf("%w: the batch is empty", tasks.ErrInvalid)
	}
	return nil
}

// print writes the lines as they would be submitted.
func (b *batch) print(stdout io.Writer) error {
	return b.spool.each(func(e entry) error {
		l := lineOf(e.Job)
		if len(e.Given) > 0 {
			l.Body = e.Given
		}
		return l.write(stdout)
	})
}

var errSlow = fmt.Errorf("%w: no answer within %s", errUnreachable, atOnceWithin)

var errNoSpace = errors.New("keep the checked lines in a temporary file; set TMPDIR to a folder with space")
