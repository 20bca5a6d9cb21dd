// Command batch measures how fast, and in how much memory, enqueue batch hands in jobs, against bare Asynq tasks with
// the same payload, in one Redis of its own; and it breaks a batch off half-way and counts what is there after it was
// run again. It prints the tables of docs/benchmarks.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench-batch:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// A bench is what all measurements share.
type bench struct {
	enqueue string // the program
	dir     string // for files of lines
	addr    string // of Redis
	rdb     *redis.Client
	jobs    int
	stdout  io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench-batch", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "bin", "folder of enqueue")
	jobs := flags.Int("jobs", 100_000, "jobs of each run")
	runs := flags.Int("runs", 3, "runs of each way, of which the middle one counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *jobs < 1000 || *runs < 1 {
		return errors.New("want no arguments, at least 1,000 jobs and one run; see --help")
	}
	dir, err := os.MkdirTemp("", "bench-batch-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{enqueue: filepath.Join(*bin, "enqueue"), dir: dir, jobs: *jobs, stdout: stdout}
	stop, err := b.startRedis(ctx, stderr)
	if err != nil {
		return err
	}
	defer stop()
	_, _ = fmt.Fprintf(stdout, "%s, %d processors, %s; Redis on the same machine; the middle of %d runs\n", runtime.Version(), runtime.NumCPU(), runtime.GOARCH, *runs)
	return errors.Join(b.memory(ctx), b.rates(ctx, *runs), b.brokenOff(ctx, syscall.SIGKILL), b.brokenOff(ctx, syscall.SIGINT))
}

// rates compares the ways, interleaved: what disturbs the machine disturbs all.
func (b *bench) rates(ctx context.Context, runs int) error {
	file, err := b.lines(b.jobs)
	if err != nil {
		return err
	}
	copied, err := copies()
	if err != nil {
		return err
	}
	ways := []struct {
		name string
		send func(context.Context) error
	}{
		{"asynq.Client.Enqueue from 50 goroutines", func(ctx context.Context) error { return b.bare(ctx, 50, copied) }},
		{"`enqueue batch`", func(ctx context.Context) error { _, err := b.batch(ctx, file); return err }},
		{"the same from 50 goroutines, each request checked first by tasks.NewCreate", func(ctx context.Context) error { return b.bare(ctx, 50, create) }},
		{"asynq.Client.Enqueue in a loop", func(ctx context.Context) error { return b.bare(ctx, 1, copied) }},
	}
	seconds := make([][]float64, len(ways))
	for range runs {
		for i, way := range ways {
			if err := b.rdb.FlushAll(ctx).Err(); err != nil {
				return err
			}
			began := time.Now()
			if err := way.send(ctx); err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			seconds[i] = append(seconds[i], time.Since(began).Seconds())
			if err := b.check(ctx, way.name, i == 1); err != nil {
				return err
			}
		}
	}
	_, _ = fmt.Fprintf(b.stdout, "\n%d jobs:\n\n| way | jobs a second | x the 50 goroutines | all runs, in seconds |\n|---|---|---|---|\n", b.jobs)
	for i, way := range ways {
		_, _ = fmt.Fprintf(b.stdout, "| %s | %.0f | %.2f | %.2f |\n", way.name, float64(b.jobs)/middle(seconds[i]), middle(seconds[0])/middle(seconds[i]), seconds[i])
	}
	return nil
}

func middle(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}

// memory is that of the program, by the length of its file.
func (b *bench) memory(ctx context.Context) error {
	_, _ = fmt.Fprint(b.stdout, "\n| lines | peak memory of `enqueue batch`, MiB |\n|---|---|\n")
	for _, n := range []int{b.jobs / 10, b.jobs, 3 * b.jobs} {
		file, err := b.lines(n)
		if err != nil {
			return err
		}
		peak, err := b.batch(ctx, file)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(b.stdout, "| %d | %d |\n", n, peak>>10)
		if err := errors.Join(os.Remove(file), b.rdb.FlushAll(ctx).Err()); err != nil {
			return err
		}
	}
	return nil
}

// brokenOff ends a batch when half of its ids are printed, runs it again, and counts.
func (b *bench) brokenOff(ctx context.Context, by syscall.Signal) error {
	file, err := b.lines(b.jobs)
	if err != nil {
		return err
	}
	if err := b.rdb.FlushAll(ctx).Err(); err != nil {
		return err
	}
	code, took, err := b.halfway(ctx, file, by)
	if err != nil {
		return err
	}
	before, err := b.count(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := b.batch(ctx, file); err != nil {
		return err
	}
	again := time.Since(began)
	after, err := b.count(ctx)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(b.stdout, "\n%s half-way: exit %d after %d ms; %s there. Run again, %.1f s: %s\n", by, code, took.Milliseconds(), before, again.Seconds(), after)
	if after != (census{b.jobs, b.jobs, b.jobs, b.jobs}) || before.records < b.jobs/2 || before.records == b.jobs {
		return fmt.Errorf("%s half-way: %s before and %s after it was run again: want at least half, and then all, each once", by, before, after)
	}
	return nil
}

// check holds what a way has left in Redis.
func (b *bench) check(ctx context.Context, way string, ours bool) error {
	got, err := b.count(ctx)
	want := census{tasks: b.jobs, distinct: b.jobs}
	if ours {
		want.records, want.deadlines = b.jobs, b.jobs
	}
	if err == nil && got != want {
		err = fmt.Errorf("%s: %s in Redis, want %s", way, got, want)
	}
	return err
}
