package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

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

Every line is checked before the first job is enqueued: if one is bad, none is. Lines with an id
are safe to submit again, so a batch that was interrupted is finished by running it once more. A
line without an id is a new job each time; --dry-run prints the lines with ids made for them:

   enqueue batch jobs.jsonl --dry-run > with-ids.jsonl`,
		Flags: []cli.Flag{dryRunFlag()},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return settings.Usage("want one FILE, or - for standard input; got %d arguments", c.Args().Len())
			}
			b, err := openBatch(c.Args().First(), stdin)
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
			return withManyCalls(ctx, c, func(client *tasks.Client) error {
				if err := b.checkIDs(ctx, client, stderr); err != nil {
					return err
				}
				return b.submit(ctx, client, c.Bool("json"), stdout, stderr)
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
		if err := lineOf(e.job).write(stdout); err != nil {
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
		for _, a := range together(entries, func(e entry) (*tasks.Job, error) { return client.Check(ctx, e.request()) }) {
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
// stops when Redis is in trouble.
func (b *batch) submit(ctx context.Context, client *tasks.Client, asJSON bool, stdout, stderr io.Writer) error {
	began, accepted, stood := time.Now(), 0, 0
	var late []error  // ids that were taken by another request since the check
	var trouble error // with Redis
	var left []entry  // not known to be accepted
	for entries := range slices.Chunk(b.entries, atOnce) {
		if trouble != nil {
			left = append(left, entries...)
			continue
		}
		for _, a := range together(entries, func(e entry) (*tasks.Job, error) { return client.Submit(ctx, e.request()) }) {
			switch {
			case errors.Is(a.err, tasks.ErrExists):
				late = append(late, fmt.Errorf("line %d: %w", a.number, a.err))
			case a.err != nil:
				trouble, left = a.err, append(left, a.entry)
			default:
				accepted++
				if a.job.CreatedAt.Before(began) {
					stood++
				}
				if err := printAccepted(stdout, a.job, asJSON); err != nil {
					return err
				}
			}
		}
	}
	_, _ = fmt.Fprintf(stderr, "%s accepted", plural(accepted, "job"))
	if stood > 0 {
		_, _ = fmt.Fprintf(stderr, ", %d of them before", stood)
	}
	_, _ = fmt.Fprintln(stderr)
	if trouble != nil {
		b.printLeft(left, stderr)
	}
	return errors.Join(append(late, trouble)...)
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

// atOnce is how many jobs are on their way at a time: their calls share round trips.
const atOnce = 500

// An answer is what came of an entry.
type answer struct {
	entry
	job *tasks.Job
	err error
}

// together calls do for all entries at once, and returns the answers in their order.
func together(entries []entry, do func(entry) (*tasks.Job, error)) []answer {
	answers := make([]answer, len(entries))
	var all sync.WaitGroup
	for i, e := range entries {
		all.Go(func() {
			job, err := do(e)
			answers[i] = answer{e, job, err}
		})
	}
	all.Wait()
	return answers
}
