// Command poll measures how many polls a render costs and how late its end is noticed, by Hourglass's plan and by
// what others do: in a simulation over the published medians, and with the real programs against the fake API.
// It prints the tables of docs/benchmarks.md and draws its plot.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench-poll:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench-poll", flag.ContinueOnError)
	flags.SetOutput(stderr)
	plot := flags.String("plot", "", "file that the plot is drawn into; none: not drawn")
	bin := flags.String("bin", "", "folder of worker and fakehour; none: no run against the fake")
	jobs := flags.Int("jobs", 200, "jobs of each run against the fake")
	renders := flags.Int("renders", 2000, "renders of each simulated fleet; 0: no simulation")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *jobs < 1 || *renders != 0 && *renders < 400 {
		return errors.New("want no arguments, at least one job and 400 renders or none; see --help")
	}
	if *renders > 0 {
		simulate(stdout, *renders)
	}
	if *plot != "" {
		if err := os.WriteFile(*plot, []byte(draw()), 0o600); err != nil {
			return err
		}
	}
	if *bin == "" {
		return nil
	}
	return againstFake(ctx, stdout, stderr, *bin, *jobs)
}
