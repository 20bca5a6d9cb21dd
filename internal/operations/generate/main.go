// Command generate writes catalogue_gen.json: one line for every create operation of
// the Magic Hour API, made of the published API description and the published render
// times. It runs in the folder of package operations, by go generate.
//
// It stops at whatever it does not understand, an unknown schema keyword for instance,
// because a constraint that is silently dropped here is one that callers pay for later.
package main

import (
	"fmt"
	"os"
)

const (
	specFile      = "spec/openapi.json"
	catalogueFile = "catalogue_gen.json"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	spec, err := os.ReadFile(specFile)
	if err != nil {
		return err
	}
	catalogue, err := build(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(catalogueFile, catalogue, 0o644) //nolint:gosec // a source file, read by everybody
}
