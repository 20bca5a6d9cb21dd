package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// showCompletion lists the command that prints the script of a shell, which the library hides.
func showCompletion(c *cli.Command) {
	c.Hidden = false
	c.Usage = "print the script that completes commands, flags and operations, for bash, zsh, fish or pwsh"
	c.Description = "For bash, with its bash-completion package: source <(enqueue completion bash)"
}

// completeOperation offers the operations where one is wanted, and flags after that.
func completeOperation(ctx context.Context, c *cli.Command) {
	if c.Args().Present() {
		cli.DefaultCompleteWithFlags(ctx, c)
		return
	}
	printNames(c.Root().Writer, operationNames())
}

// completeFilter offers the values of a filter of list.
func completeFilter(ctx context.Context, c *cli.Command) {
	flag := ""
	if n := len(os.Args); n > 2 {
		flag = os.Args[n-2] // the last one asks for completion
	}
	switch flag {
	case "--state":
		printNames(c.Root().Writer, stateNames())
	case "--operation":
		printNames(c.Root().Writer, operationNames())
	default:
		cli.DefaultCompleteWithFlags(ctx, c)
	}
}

func operationNames() []string {
	var names []string
	for _, o := range operations.All() {
		names = append(names, o.Name)
	}
	return names
}

func printNames(w io.Writer, names []string) {
	for _, name := range names {
		_, _ = fmt.Fprintln(w, name)
	}
}
