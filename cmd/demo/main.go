// Command demo shows Hourglass at work, in one process and without an account: a few jobs go from
// one end to the other on an embedded Redis, a fake Magic Hour API, and a local folder as the
// store. Asynqmon, the dashboard of the queues, runs beside them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

const description = `Runs some sample jobs, one of which is meant to fail, and prints every step they take, then a
table of jobs and files. Everything but the files is forgotten when it ends.

exit codes:
   0 every sample ended as it should   1 one did not, or a failure   2 usage
   130 interrupted before the samples had ended`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	records.Quiet()
	os.Exit(exitCode(run(ctx, os.Args, os.Stdout, os.Stderr), os.Stderr))
}

// exitCode tells what went wrong, in words and as a number.
func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(stderr, "demo: interrupted")
		return exitInterrupted
	}
	_, _ = fmt.Fprintf(stderr, "demo: %v\n", err)
	if errors.Is(err, settings.ErrUsage) {
		return exitUsage
	}
	return exitFailure
}

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return runWith(ctx, samples, args, stdout, stderr)
}

func runWith(ctx context.Context, samples []sample, args []string, stdout, stderr io.Writer) error {
	command := &cli.Command{
		Name:        "demo",
		Usage:       "show Hourglass at work, with nothing but Go installed",
		Description: description,
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       flags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return settings.Usage("unexpected argument %q; see demo --help", c.Args().First())
			}
			return show(ctx, read(c), samples, stdout, stderr)
		},
	}
	return settings.Run(ctx, command, args)
}
