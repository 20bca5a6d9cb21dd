package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
)

// work is what a child is to copy: files 0 to n-1 of one size, so many at a time.
type work struct {
	source   string // URL, to which "/<n>" is added
	endpoint string // of the store; the bucket is "media"
	prefix   string // of the keys: every run has its own
	files    int
	atOnce   int
}

func (w work) args() []string {
	return []string{
		"-source", w.source, "-endpoint", w.endpoint, "-prefix", w.prefix,
		"-files", fmt.Sprint(w.files), "-at-once", fmt.Sprint(w.atOnce),
	}
}

func parseWork(args []string) (w work, err error) {
	flags := flag.NewFlagSet("child", flag.ContinueOnError)
	flags.StringVar(&w.source, "source", "", "")
	flags.StringVar(&w.endpoint, "endpoint", "", "")
	flags.StringVar(&w.prefix, "prefix", "", "")
	flags.IntVar(&w.files, "files", 1, "")
	flags.IntVar(&w.atOnce, "at-once", 1, "")
	return w, flags.Parse(args)
}

func (w work) url(n int) string { return fmt.Sprintf("%s/%d", w.source, n) }
func (w work) key(n int) string { return fmt.Sprintf("j%d/1.mp4", n) }

// each copies all files, as many at a time as it should be.
func (w work) each(ctx context.Context, copyOne func(ctx context.Context, n int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	numbers := make(chan int)
	errs := make([]error, w.atOnce)
	var copies sync.WaitGroup
	for i := range errs {
		copies.Go(func() {
			for n := range numbers {
				if errs[i] == nil {
					errs[i] = copyOne(ctx, n)
				}
			}
		})
	}
	for n := range w.files {
		numbers <- n
	}
	close(numbers)
	copies.Wait()
	return errors.Join(errs...)
}

// profiled writes a profile of the processor into the folder that BENCH_PROFILE names, one for each child:
// the last run's stays.
func profiled(name string, do func() error) error {
	dir := os.Getenv("BENCH_PROFILE")
	if dir == "" {
		return do()
	}
	file, err := os.Create(filepath.Join(dir, name+".prof")) //nolint:gosec // who runs it names the folder
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, file.Close())
}
