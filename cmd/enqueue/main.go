// Command enqueue hands jobs to Hourglass and tells what became of them.
//
// stdout is the result and nothing else; stderr is for people.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitJobFailed   = 3   // a job is not done
	exitRefused     = 4   // refused before enqueueing: schema, unknown operation
	exitExists      = 5   // the job id exists with a different request
	exitUnreachable = 75  // Redis is not reachable
	exitTimeout     = 124 // the wait timed out
	exitInterrupted = 130
)

const exitCodes = `exit codes:
   0 ok   1 failure   2 usage   3 a job is not done   4 refused before enqueueing
   5 the job id exists with a different request   75 Redis is not reachable
   124 the wait timed out   130 interrupted (the job goes on)`

var (
	errTimeout     = errors.New("timed out")
	errInterrupted = errors.New("interrupted")
	errJobFailed   = errors.New("not every job is done")
	errUnreachable = errors.New("can't reach Redis at REDIS_URL")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	records.Quiet()
	os.Exit(exitCode(run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

// exitCode tells what went wrong, in words and as a number.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "enqueue: %v\n", err)
	code := codeOf(err)
	if code == exitExists {
		_, _ = fmt.Fprintln(stderr, "see the job that has the id with enqueue status. To give the request an id of its own makes it another job, which is paid for; options, such as --overwrite and --priority, are part of a request, and so is the upload of a local file, which is remembered for six days")
	}
	return code
}

// codeOf is the number of the first that fits.
func codeOf(err error) int {
	for _, c := range []struct {
		err  error
		code int
	}{
		{settings.ErrUsage, exitUsage},
		{errJobFailed, exitJobFailed},
		{tasks.ErrInvalid, exitRefused},
		{tasks.ErrExists, exitExists},
		{errUnreachable, exitUnreachable},
		{errTimeout, exitTimeout},
		{errInterrupted, exitInterrupted},
		{context.Canceled, exitInterrupted},
	} {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return exitFailure
}

// run is the program.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	commands := []*cli.Command{
		submitCommand(stdin, stdout, stderr), batchCommand(stdin, stdout, stderr), statusCommand(stdout),
		waitCommand(stdin, stdout, stderr), getCommand(stdout, stderr), listCommand(stdout, stderr), cancelCommand(stdout), retryCommand(stdout),
		resolveCommand(stdout, stderr), operationsCommand(stdout), schemaCommand(stdout),
	}
	for _, c := range commands {
		c.Flags = append(c.Flags, jsonFlag(""))
	}
	commands = append(append(commands, operationCommands(args, stdin, stdout, stderr)...), serveCommand(stderr), tokenCommand(stdout, stderr))
	root := &cli.Command{
		Name:        "enqueue",
		Usage:       "hand jobs to Hourglass and see what became of them",
		Description: rootHelp(),
		Writer:      stdout,
		ErrWriter:   stderr,
		Flags:       []cli.Flag{settings.RedisFlag()},
		Commands:    commands,

		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: showCompletion,
		ShellComplete:                   completeCommand,
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return settings.Usage("no command is called %q; see enqueue --help", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
	}
	return settings.Run(ctx, root, args)
}

func jsonFlag(category string) cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON, an object in a line for each job, file or operation", Category: category}
}

// rootHelp begins with what most come for. The operations are named, but have no lines of their own.
func rootHelp() string {
	const width = 110
	names, line := "", ""
	for _, name := range operationNames() {
		if len(line)+len(name) > width {
			names, line = names+"\n  "+line, ""
		}
		line += " " + name
	}
	return `   enqueue face-swap-photo --assets.source_file_path ./me.jpg --assets.target_file_path ./team.jpg --wait --json

Each operation is a command, whose --help tells its fields; submit takes them all:
` + strings.TrimPrefix(names+"\n  "+line, "\n") + "\n\n" + exitCodes
}

// unreachable tells an error of the network to Redis from what Redis or the job said.
func unreachable(err error) error {
	var network *net.OpError
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, redis.ErrPoolTimeout) {
		return fmt.Errorf("%w: %w; is it running, and is the address right?", errUnreachable, err)
	}
	return err
}
