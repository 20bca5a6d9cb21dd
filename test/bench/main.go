// Command bench measures the copy from a media host to S3 against other programs and libraries, all on one
// machine: interleaved, the median of several runs, each in a process of its own, whose peak memory is what
// the system says of it. It prints the table of docs/benchmarks.md.
//
// It is its own source and its own store: a null sink that verifies checksums and keeps nothing; or
// versitygw, if it is asked for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// The commands that are measured, and the server, run as children: bench NAME ARGUMENT...
var children = map[string]func(ctx context.Context, w work) error{
	"ours":            ours,
	"manager":         manager,
	"transfermanager": transferManager,
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if args[0] == "serve" {
			return serve(ctx, args[1:], stdout)
		}
		if child, found := children[args[0]]; found {
			w, err := parseWork(args[1:])
			if err != nil {
				return err
			}
			return profiled(args[0], func() error { return child(ctx, w) })
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var p plan
	flags.Int64Var(&p.large, "large", 2048, "size of the large file in MiB")
	flags.IntVar(&p.files, "files", 1000, "number of small files")
	flags.Int64Var(&p.small, "small", 100, "size of a small file in KiB")
	flags.IntVar(&p.runs, "runs", 5, "runs of each, of which the middle one counts")
	flags.StringVar(&p.versitygw, "versitygw", "", "path of the program; none: not measured")
	flags.StringVar(&p.peers, "peers", ".tools/peers", "folder of rclone and s5cmd; what is not there is not measured")
	only := flags.String("only", "", "parts of the names of scenes or programs to measure, separated by commas; empty: all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || p.runs < 1 || p.large < 1 || p.files < 1 || p.small < 1 {
		return errors.New("want positive numbers and no arguments; see --help")
	}
	if *only != "" {
		p.only = strings.Split(*only, ",")
	}
	return p.measure(ctx, stdout, stderr)
}

// asked leaves the programs that were asked for, and with them the floor.
func (p plan) asked(s scene) []program {
	var programs []program
	for i, program := range s.programs {
		if i > 0 && p.wanted(s.name, program.name) {
			programs = append(programs, program)
		}
	}
	if len(programs) == 0 && !p.wanted(s.name, s.programs[0].name) {
		return nil
	}
	return append(s.programs[:1:1], programs...)
}

// wanted reports whether a program in a scene is among those asked for.
func (p plan) wanted(scene, program string) bool {
	return len(p.only) == 0 || slices.ContainsFunc(p.only, func(name string) bool {
		return strings.Contains(scene, name) || strings.Contains(program, name)
	})
}
