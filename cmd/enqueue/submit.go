package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

const submitName = "submit"

func submitCommand(stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      submitName,
		Usage:     "submit one job and print its id",
		ArgsUsage: "OPERATION",
		Description: `   enqueue submit text-to-video --set end_seconds=5 --set style.prompt="a tin robot waves"

The request body comes from --body, and --set lays single fields over it. The same with a flag for each field, which its --help
tells: enqueue text-to-video --end_seconds 5 --style.prompt "a tin robot waves"

Magic Hour charges for the job when a worker creates it. --dry-run checks everything and costs nothing. An id makes the call safe
to repeat: the same request under the same id is one job, paid for once.

` + filesHelp,
		Flags: append([]cli.Flag{
			&cli.StringSliceFlag{Name: "set", Usage: "set a field of the body, `PATH=VALUE`; the value is JSON if it parses as JSON, else a string ('\"12\"' for a string that looks like a number)"},
			&cli.StringFlag{Name: "body", Usage: "the request body: `JSON`, @FILE, or - for standard input"},
			&cli.StringFlag{Name: "id", Usage: "job `ID`; made if not given"},
			&cli.BoolFlag{Name: "wait", Usage: "wait for the end of the job"},
			baseURLFlag(),
			dryRunFlag(),
		}, optionFlags()...),
		// A comma is part of a prompt, not a separator.
		DisableSliceFlagSeparator: true,
		ShellComplete:             complete(map[string]offers{"priority": priorities}, anOperation),
		Action: func(ctx context.Context, c *cli.Command) error {
			request, err := request(ctx, c, stdin)
			if err != nil {
				return err
			}
			return traced(ctx, "enqueue submit", stderr, func(ctx context.Context) error {
				return submit(ctx, c, request, stdout, stderr)
			})
		},
	}
}

func submit(ctx context.Context, c *cli.Command, request tasks.Request, stdout, stderr io.Writer) error {
	local, given := &files{}, request.Body
	var named bool
	var wrong error
	request.Body, named, wrong = local.standIn(request.Operation, given)
	checked, err := tasks.NewJob(request, time.Now())
	if err := errors.Join(wrong, err); err != nil {
		return err // what can't be accepted need not wait for Redis
	}
	if c.Bool(dryRun) {
		printWarnings(checked, stderr)
		l := lineOf(checked)
		if named {
			l.Body = given
		}
		return l.write(stdout)
	}
	var api *magichour.Client
	if named {
		if api, err = newAPI(c); err != nil {
			return err
		}
	}
	signal.Ignore(syscall.SIGPIPE) // see printAccepted
	return withRedis(ctx, c, func(rdb redis.UniversalClient) error {
		client := newClient(rdb)
		if api != nil {
			u := &uploader{api, records.New(rdb), stderr}
			if request.Body, err = u.bring(ctx, local, request, given, client); err != nil {
				return err
			}
		}
		return handIn(ctx, c, client, request, stdout, stderr)
	})
}

// handIn submits a request that nothing is to be said against any more.
func handIn(ctx context.Context, c *cli.Command, client *tasks.Client, request tasks.Request, stdout, stderr io.Writer) error {
	job, err := client.Submit(ctx, request)
	if err != nil && job != nil && !errors.Is(err, tasks.ErrExists) {
		return fmt.Errorf("job %s may have been accepted: submit it again with --id %s, which is safe: %w", job.ID, job.ID, err)
	}
	if err != nil {
		return err
	}
	trace.SpanFromContext(ctx).SetAttributes(attribute.String("hourglass.job", job.ID), attribute.String("hourglass.operation", job.Operation))
	if job.State != tasks.Pending {
		_, _ = fmt.Fprintf(stderr, "job %s exists already and is %s\n", job.ID, job.State)
	}
	printWarnings(job, stderr)
	if c.Bool("wait") {
		return wait(ctx, client, []string{job.ID}, c.Bool("json"), stdout, stderr)
	}
	return printAccepted(stdout, job, c.Bool("json"))
}

// bring uploads the files of one request, and returns its body with their paths. The id is looked at before.
func (u *uploader) bring(ctx context.Context, local *files, request tasks.Request, given json.RawMessage, client *tasks.Client) (json.RawMessage, error) {
	if err := u.recall(ctx, local); err != nil {
		return nil, err
	}
	request.Body, _, _ = local.standIn(request.Operation, given) // it was looked at before
	if request.ID != "" {
		if _, err := client.Check(ctx, request); err != nil {
			return nil, err
		}
	}
	err := u.upload(ctx, local)
	body, _, _ := local.standIn(request.Operation, given)
	return body, err
}

const dryRun = "dry-run"

func dryRunFlag() cli.Flag {
	return &cli.BoolFlag{Name: dryRun, Usage: "check everything that needs no Redis, and print what would be submitted, as the lines of a batch"}
}

func printWarnings(job *tasks.Job, stderr io.Writer) {
	for _, w := range job.Warnings {
		_, _ = fmt.Fprintf(stderr, "warning: %s\n", w)
	}
}

// printAccepted prints the id of a job that was accepted. If it can't be printed, the error holds
// it: without the id a repetition would buy again.
func printAccepted(stdout io.Writer, job *tasks.Job, asJSON bool) (err error) {
	if asJSON {
		err = printJSON(stdout, job)
	} else {
		_, err = fmt.Fprintln(stdout, job.ID)
	}
	if err != nil {
		return fmt.Errorf("job %s is accepted, but its id can't be printed: %w", job.ID, err)
	}
	return nil
}

// request reads what the caller asks for from the arguments.
func request(ctx context.Context, c *cli.Command, stdin io.Reader) (tasks.Request, error) {
	operation := c.Name // of operationCommands
	if c.Name == submitName {
		if c.Args().Len() != 1 {
			return tasks.Request{}, settings.Usage("want one OPERATION, such as text-to-video; got %d arguments", c.Args().Len())
		}
		operation = c.Args().First()
	}
	if c.IsSet("body") && c.String("body") == "" {
		return tasks.Request{}, settings.Usage("--body: is empty; leave it out to build the body of --set alone")
	}
	text, err := readBody(ctx, c.String("body"), stdin)
	if err != nil {
		return tasks.Request{}, err
	}
	body, err := setFields(text, c.StringSlice("set"))
	if err != nil {
		return tasks.Request{}, err
	}
	if body, err = setFieldFlags(c, body); err != nil {
		return tasks.Request{}, err
	}
	id := c.String("id")
	if c.IsSet("id") {
		if err := tasks.CheckID(id); err != nil {
			return tasks.Request{}, settings.Usage("--id: %w", err)
		}
	}
	options, err := optionsOf(c)
	return tasks.Request{ID: id, Operation: operation, Body: body, Options: options}, err
}

func readBody(ctx context.Context, arg string, stdin io.Reader) ([]byte, error) {
	switch {
	case arg == "":
		return []byte("{}"), nil
	case arg == "-":
		text, err := unlessInterrupted(ctx, func() ([]byte, error) { return io.ReadAll(stdin) })
		if err != nil {
			return nil, fmt.Errorf("--body -: %w", err)
		}
		return text, nil
	case strings.HasPrefix(arg, "@"):
		text, err := os.ReadFile(arg[1:])
		if err != nil {
			return nil, settings.Usage("--body: %w", err)
		}
		return text, nil
	}
	return []byte(arg), nil
}

// setFields lays single fields over a body.
func setFields(text []byte, sets []string) (json.RawMessage, error) {
	var body any
	if err := decode(text, &body); err != nil {
		return nil, settings.Usage("--body: not JSON: %w", err)
	}
	if len(sets) == 0 {
		return text, nil
	}
	for _, set := range sets {
		path, value, found := strings.Cut(set, "=")
		if !utf8.ValidString(set) {
			return nil, settings.Usage("--set %q: %w", set, errEncoding)
		}
		if !found || path == "" {
			return nil, settings.Usage("--set %q: want PATH=VALUE, such as style.prompt=robot", set)
		}
		steps, err := parsePath(path)
		if err != nil {
			return nil, settings.Usage("--set %q: %w", set, err)
		}
		if body, err = put(body, steps, parseValue(value)); err != nil {
			return nil, settings.Usage("--set %q: %w", set, err)
		}
	}
	return json.Marshal(body)
}
