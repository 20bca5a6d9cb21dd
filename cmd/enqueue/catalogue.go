package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

func operationsCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "operations",
		Usage: "list what can be made",
		Description: `   enqueue operations
   enqueue face-swap --help

Each is a command, whose --help tells its fields. TYPICAL is the published median time from create to complete. ASSETS are the
fields of the body that take a media file: one of this machine, a public URL, s3://bucket/key, or the path of an uploaded file.
Face detection is not covered yet: it makes no project.`,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return settings.Usage("unexpected argument %q; for the fields of one see enqueue schema %s", c.Args().First(), c.Args().First())
			}
			if c.Bool("json") {
				return printOperations(stdout)
			}
			table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(table, "OPERATION\tKIND\tTYPICAL\tASSETS")
			for _, o := range operations.All() {
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", o.Name, o.Kind, o.Typical, strings.ReplaceAll(strings.Join(o.Assets, " "), "assets.", ""))
			}
			return table.Flush()
		},
	}
}

func printOperations(stdout io.Writer) error {
	e := json.NewEncoder(stdout)
	for _, o := range operations.All() {
		if err := e.Encode(struct {
			Name           string          `json:"name"`
			Kind           operations.Kind `json:"kind"`
			Path           string          `json:"path"`
			TypicalSeconds float64         `json:"typical_seconds"`
			Assets         []string        `json:"assets"`
			Rules          []string        `json:"rules"`
		}{o.Name, o.Kind, o.Path, o.Typical.Seconds(), append([]string{}, o.Assets...), append([]string{}, o.Rules()...)}); err != nil {
			return err
		}
	}
	return nil
}

func schemaCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "schema",
		Usage:     "print the JSON Schema of an operation's body",
		ArgsUsage: "OPERATION",
		Description: `   enqueue schema face-swap

It is the published one, with the rules that a schema can't say in its description. Values of model,
style, voice and language that it does not list are sent all the same, with a warning.`,
		ShellComplete: complete(nil, anOperation),
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return settings.Usage("want one OPERATION, such as text-to-video; got %d arguments", c.Args().Len())
			}
			o, known := operations.Lookup(c.Args().First())
			if !known {
				return fmt.Errorf("%w: %s", tasks.ErrInvalid, operations.Unknown(c.Args().First()))
			}
			var text bytes.Buffer
			if c.Bool("json") { // as it is, in one line
				_, err := fmt.Fprintf(stdout, "%s\n", o.Schema())
				return err
			}
			if err := json.Indent(&text, o.Schema(), "", "  "); err != nil {
				return err
			}
			_, err := fmt.Fprintln(stdout, text.String())
			return err
		},
	}
}
