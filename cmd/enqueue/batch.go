package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func batchCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "batch",
		Usage:     "submit many jobs, one in each line of a file, and print their ids",
		ArgsUsage: "FILE|-",
		Description: `Each line is one job in JSON; - reads standard input:

   {"id":"clip-1","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}}

The fields are id, operation, body and options, such as {"overwrite":true,"priority":"low","tenant":"acme"}, which
are those that submit has as flags. Every line is checked before the first job is enqueued: if one is bad, none is. Lines with an id
are safe to submit again, so a batch that was interrupted is finished by running it once more. A
line without an id is a new job each time; --dry-run prints the lines with ids made for them:

   enqueue batch jobs.jsonl --dry-run > with-ids.jsonl

` + filesHelp,
		Flags: []cli.Flag{baseURLFlag(), dryRunFlag()},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return settings.Usage("want one FILE, or - for standard input; got %d arguments", c.Args().Len())
			}
			b, err := unlessInterrupted(ctx, func() (*batch, error) { return openBatch(c.Args().First(), stdin) })
			if err != nil {
				return err
			}
			b.printWarnings(stderr)
			if err := b.refused(stderr); err != nil {
				return err
			}
			if c.Bool(dryRun) {
				return b.print(stdout)
			}
			var api *magichour.Client
			if len(b.local.all) > 0 {
				if api, err = newAPI(c); err != nil {
					return err
				}
			}
			signal.Ignore(syscall.SIGPIPE) // whoever stops reading must not lose the ids of what was accepted
			return traced(ctx, "enqueue batch", stderr, func(ctx context.Context) error {
				return withManyCalls(ctx, c, func(client *tasks.Client, store *records.Store) error {
					u := &uploader{api, store, stderr}
					if err := errors.Join(u.recall(ctx, &b.local), b.standIn()); err != nil {
						return err
					}
					if err := b.checkIDs(ctx, client, stderr); err != nil {
						return err
					}
					if err := errors.Join(u.upload(ctx, &b.local), b.standIn()); err != nil {
						return err
					}
					return b.submit(ctx, client, c.Bool("json"), stdout, stderr)
				})
			})
		},
	}
}

func openBatch(name string, stdin io.Reader) (*batch, error) {
	if name == "-" {
		return readBatch(stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, settings.Usage("%w", err)
	}
	defer func() { _ = file.Close() }()
	return readBatch(file)
}

// printWarnings says each warning once: a batch often has the same one in every line.
func (b *batch) printWarnings(stderr io.Writer) {
	for _, text := range slices.Sorted(maps.Keys(b.warnings)) {
		lines := b.warnings[text]
		more := ""
		if len(lines) > 1 {
			more = fmt.Sprintf(" (and %d more lines)", len(lines)-1)
		}
		_, _ = fmt.Fprintf(stderr, "warning: line %d%s: %s\n", lines[0], more, text)
	}
}

// refused lists the bad lines. Nothing is enqueued if there is one.
func (b *batch) refused(stderr io.Writer) error {
	for _, problem := range b.problems {
		_, _ = fmt.Fprintln(stderr, problem)
	}
	switch {
	case len(b.problems) > 0:
		return fmt.Errorf("%w: %s refused; nothing was enqueued", tasks.ErrInvalid, plural(len(b.problems), "line"))
	case len(b.entries) == 0:
		return fmt.Errorf("%w: the batch is empty", tasks.ErrInvalid)
	}
	return nil
}

// print writes the lines as they would be submitted.
func (b *batch) print(stdout io.Writer) error {
	for _, e := range b.entries {
		l := lineOf(e.job)
		if e.given != nil {
			l.Body = e.given
		}
		if err := l.write(stdout); err != nil {
			return err
		}
	}
	return nil
}

// checkIDs finds the lines whose id is taken by another request.
func (b *batch) checkIDs(ctx context.Context, client *tasks.Client, stderr io.Writer) error {
	taken := 0
	named := slices.DeleteFunc(slices.Clone(b.entries), func(e entry) bool { return !e.named })
	for entries := range slices.Chunk(named, atOnce) {
		for _, a := range together(ctx, entries, client.Check) {
			switch {
			case errors.Is(a.err, tasks.ErrExists):
				taken++
				_, _ = fmt.Fprintf(stderr, "line %d: %v\n", a.number, a.err)
			case a.err != nil:
				return fmt.Errorf("nothing was enqueued: %w", a.err)
			}
		}
	}
	if taken > 0 {
		return fmt.Errorf("%w: %s; nothing was enqueued", tasks.ErrExists, plural(taken, "line"))
	}
	return nil
}

// submit enqueues the jobs and prints those that were accepted, in the order of their lines. It
// stops when it is told to, when Redis is in trouble, and when an id can't be printed.
func (b *batch) submit(ctx context.Context, client *tasks.Client, asJSON bool, stdout, stderr io.Writer) error {
	began, accepted, stood, late := time.Now(), 0, 0, 0
	var trouble error
	var left []entry // not known to be accepted, or accepted without the caller's knowing
	for entries := range slices.Chunk(b.entries, atOnce) {
		if trouble != nil {
			left = append(left, entries...)
			continue
		}
		for _, a := range together(ctx, entries, inOwnTraces(client.Submit)) {
			if errors.Is(a.err, tasks.ErrExists) { // since the check
				late++
				_, _ = fmt.Fprintf(stderr, "line %d: %v\n", a.number, a.err)
				continue
			}
			if a.err == nil {
				a.err = printAccepted(stdout, a.job, asJSON)
			}
			if a.err != nil {
				trouble, left = a.err, append(left, a.entry)
				continue
			}
			accepted++
			if a.job.CreatedAt.Before(began) {
				stood++
			}
		}
	}
	_, _ = fmt.Fprintf(stderr, "%s accepted", plural(accepted, "job"))
	if stood > 0 {
		_, _ = fmt.Fprintf(stderr, ", %d of them before", stood)
	}
	_, _ = fmt.Fprintln(stderr)
	switch {
	case trouble != nil:
		b.printLeft(left, stderr)
		return trouble
	case late > 0:
		return fmt.Errorf("%w: %s", tasks.ErrExists, plural(late, "line"))
	}
	return nil
}

// printLeft says how to finish a batch whose submission was broken off.
func (b *batch) printLeft(left []entry, stderr io.Writer) {
	if !slices.ContainsFunc(b.entries, func(e entry) bool { return !e.named }) {
		_, _ = fmt.Fprintf(stderr, "%s left: run the same batch again, which is safe\n", plural(len(left), "line"))
		return
	}
	// To run it all again would buy the lines without an id twice.
	_, _ = fmt.Fprintf(stderr, "%s left: submit these, with the ids made for them, which is safe:\n", plural(len(left), "line"))
	for _, e := range left {
		_ = lineOf(e.job).write(stderr)
	}
}

// atOnce is how many jobs are on their way at a time: their calls share round trips. They take
// milliseconds as a rule.
const (
	atOnce       = 500
	atOnceWithin = 30 * time.Second
)

var errSlow = fmt.Errorf("%w: no answer within %s", errUnreachable, atOnceWithin)

// An answer is what came of an entry.
type answer struct {
	entry
	job *tasks.Job
	err error
}

// together calls do for all entries at once, and returns the answers in their order. When ctx ends it
// waits for none that are still out: the shared round trips don't heed it.
func together(ctx context.Context, entries []entry, do func(context.Context, tasks.Request) (*tasks.Job, error)) []answer {
	ctx, cancel := context.WithTimeoutCause(ctx, atOnceWithin, errSlow)
	defer cancel()
	type arrival struct {
		i int
		answer
	}
	arrivals := make(chan arrival, len(entries))
	answers := make([]answer, len(entries))
	for i, e := range entries {
		answers[i] = answer{entry: e, err: errSlow}
		if ctx.Err() != nil {
			continue
		}
		go func() {
			job, err := do(ctx, e.request())
			arrivals <- arrival{i, answer{e, job, err}}
		}()
	}
	for range entries {
		select {
		case a := <-arrivals:
			answers[a.i] = a.answer
		case <-ctx.Done():
			for i := range answers {
				if answers[i].err == errSlow { //nolint:errorlint // the very value: no answer yet
					answers[i].err = context.Cause(ctx)
				}
			}
			return answers
		}
	}
	return answers
}
