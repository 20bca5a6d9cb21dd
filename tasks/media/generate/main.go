// Command generate writes a Go type for the request of every operation in the catalogue. It runs in the folder of
// package media, by go generate, after the catalogue's own generator.
//
// It stops at a field that words.go has no words for: somebody has to say what it is.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := build(operations.All())
	if err != nil {
		return err
	}
	stale, err := filepath.Glob("*_gen*.go")
	if err != nil {
		return err
	}
	for _, name := range stale { // also those of operations that are gone
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for name, source := range files {
		if err := os.WriteFile(name, source, 0o644); err != nil { //nolint:gosec // a source file, read by everybody
			return err
		}
	}
	return nil
}
