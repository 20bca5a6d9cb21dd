// Command fakehour is the fake Magic Hour API as a program: for people who want to try
// things without an account, and for compose files and end-to-end tests. It forgets
// everything when it ends.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	err := run(ctx, os.Args, os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	_, _ = fmt.Fprintln(os.Stderr, "fakehour:", err)
	if errors.Is(err, settings.ErrUsage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailure)
}

// run serves until the context ends. When it listens it prints one line of JSON with both
// addresses to stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	chosen, err := parse(ctx, args, stdout, stderr)
	if err != nil {
		return err
	}
	if chosen == nil { // it was asked for help or the version
		return nil
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: chosen.level}))
	chosen.fake.Log = log
	fake := magichourtest.New(chosen.fake)
	if err := fake.Start(ctx); err != nil {
		return err
	}
	defer fake.Close()
	if err := json.NewEncoder(stdout).Encode(addresses{fake.URL(), fake.MediaURL()}); err != nil {
		return err
	}
	log.Info("listening", "api", fake.URL(), "media", fake.MediaURL())
	deliver(ctx, fake)
	totals := fake.Totals()
	log.Info("stopped", "creates", totals.Creates, "deletes", totals.Deletes, "violations", totals.Violations, "credits", totals.Credits)
	return nil
}

type addresses struct {
	API   string `json:"api"`
	Media string `json:"media"`
}

// deliverEvery is how late a webhook may be.
const deliverEvery = 100 * time.Millisecond

// deliver sends webhooks until the context ends.
func deliver(ctx context.Context, fake *magichourtest.Server) {
	ticker := time.NewTicker(deliverEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			fake.Deliver(ctx)
		}
	}
}
