// Command worker moves jobs along their road: it creates projects at Magic Hour, polls them,
// copies their files into the store, proves the copies, and deletes the remote projects. Start
// as many as you like.
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	records.Quiet()
	os.Exit(exitCode(run(ctx, os.Args, os.Stdout, os.Stderr), os.Stderr))
}

// exitCode is 0, 1 for a failure, or 2 for wrong or missing settings.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "worker: %v\n", err)
	if errors.Is(err, settings.ErrUsage) {
		return 2
	}
	return 1
}

// run is the program: it serves until ctx ends, and then drains.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	command := &cli.Command{
		Name:        "worker",
		Usage:       "move jobs along their road: create, poll, download, cleanup",
		Description: description,
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       flags(),
		Commands:    []*cli.Command{holdCommand(stdout), releaseCommand(stdout), healthcheckCommand(stdout)},
		Action: func(ctx context.Context, c *cli.Command) error {
			config, err := read(c)
			if err != nil {
				return err
			}
			return serve(ctx, config, logger(config, stderr))
		},
	}
	return settings.Run(ctx, command, args)
}
