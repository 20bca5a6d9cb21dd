package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// showCompletion lists the command that prints the script of a shell, which the library hides.
func showCompletion(c *cli.Command) {
	c.Hidden = false
	c.Usage = "print the script that completes commands, flags, operations and the ids of jobs, for bash, zsh, fish or pwsh"
	for _, shell := range c.Commands {
		if shell.Name == "bash" {
			shell.Action = printBash // the library's script would run what stands on the line
		}
	}
	c.Description = `In ~/.bashrc:

   source <(enqueue completion bash)

In ~/.zshrc after compinit: source <(enqueue completion zsh). For fish: enqueue completion fish > ~/.config/fish/completions/enqueue.fish.
The ids of the last 50 jobs are asked of Redis, within a second; without an answer none are offered.`
}

//go:embed completion.bash
var bashScript string

func printBash(_ context.Context, c *cli.Command) error {
	_, err := fmt.Fprint(c.Root().Writer, bashScript)
	return err
}

// completeCommand offers the commands, and those of operations.
func completeCommand(ctx context.Context, c *cli.Command) {
	complete(nil, nil)(ctx, c)
	if !strings.HasPrefix(wordBefore(os.Args), "-") {
		for _, o := range operations.All() {
			_, _ = fmt.Fprintf(c.Root().Writer, "%s:make %s\n", o.Name, kindInWords[o.Kind])
		}
	}
}

var kindInWords = map[operations.Kind]string{operations.Video: "a video", operations.Image: "images", operations.Audio: "an audio file"}

// offers are what may stand at a place, each a word, or word:what it is.
type offers func(context.Context, *cli.Command) []string

// complete offers what may follow one of the flags, and else what may be an argument, or flags after a dash. Of a flag
// that takes anything else nothing is said, so that shells offer files.
func complete(values map[string]offers, arguments offers) cli.ShellCompleteFunc {
	return func(ctx context.Context, c *cli.Command) {
		name, isFlag := strings.CutPrefix(wordBefore(os.Args), "--")
		switch flag := flagOf(c, name); {
		case isFlag && values[name] != nil:
			printNames(c.Root().Writer, values[name](ctx, c))
		case isFlag && flag != nil && flag.TakesValue():
		case isFlag || arguments == nil || strings.HasPrefix(wordBefore(os.Args), "-"):
			cli.DefaultCompleteWithFlags(ctx, c)
		default:
			printNames(c.Root().Writer, arguments(ctx, c))
		}
	}
}

// wordBefore is the last word that the shell sent: the one before the cursor, or the one at it if that begins with a dash.
// After it comes the flag that asks for completion. Bash sends --flag=value in three.
func wordBefore(args []string) string {
	before := args[:max(0, len(args)-1)]
	if n := len(before); n > 1 && before[n-1] == "=" {
		before = before[:n-1]
	}
	if len(before) == 0 {
		return ""
	}
	return before[len(before)-1]
}

func flagOf(c *cli.Command, name string) cli.DocGenerationFlag {
	for _, flag := range slices.Concat(c.Flags, c.Root().Flags) {
		if known, ok := flag.(cli.DocGenerationFlag); ok && slices.Contains(flag.Names(), name) {
			return known
		}
	}
	return nil
}

// these offers the same words always.
func these(words ...string) offers {
	return func(context.Context, *cli.Command) []string { return words }
}

// priorities can be completed wherever options are taken.
var priorities = these(string(tasks.PriorityHigh), string(tasks.PriorityNormal), string(tasks.PriorityLow))

// anOperation offers operations where one is wanted.
func anOperation(_ context.Context, c *cli.Command) []string {
	if c.Args().Present() {
		return nil
	}
	return operationNames()
}

const (
	offeredJobs   = 50
	offeredWithin = time.Second // a person waits for it at the prompt
)

// jobIDs offers the jobs whose state changed last, in any of some states. It is silent if Redis does not answer soon.
func jobIDs(states ...tasks.State) offers {
	return func(ctx context.Context, c *cli.Command) []string {
		ctx, cancel := context.WithTimeout(ctx, offeredWithin)
		defer cancel()
		found, err := unlessInterrupted(ctx, func() (found []string, err error) {
			err = withRedis(ctx, c, func(rdb redis.UniversalClient) error {
				for job, err := range newClient(rdb).List(ctx, tasks.Filter{States: states}) {
					if err == nil && !slices.Contains(c.Args().Slice(), job.ID) {
						found = append(found, fmt.Sprintf("%s:%s, %s for %s", job.ID, job.Operation, job.State, since(job.StateAt)))
					}
					if err != nil || len(found) == offeredJobs {
						return err
					}
				}
				return nil
			})
			return found, err
		})
		if err != nil {
			return nil
		}
		return found
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
