package main

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

// chosen is what the command line and the environment say.
type chosen struct {
	fake  magichourtest.Options
	level slog.Level
}

// parse reads flags and variables. It returns nil when help or the version was asked for and printed.
func parse(ctx context.Context, args []string, stdout, stderr io.Writer) (*chosen, error) {
	var says *chosen
	cmd := &cli.Command{
		Name:            "fakehour",
		Usage:           "a fake of the Magic Hour API",
		Description:     description,
		Flags:           flags(),
		HideHelpCommand: true,
		Writer:          stdout, ErrWriter: stderr,
		Action: func(_ context.Context, c *cli.Command) (err error) {
			says, err = read(c)
			return err
		},
	}
	err := settings.Run(ctx, cmd, args)
	return says, err
}

const description = `Serves the API and a media host until it gets SIGINT or SIGTERM, and forgets everything.
When it listens, it prints one line to stdout: {"api":"http://...","media":"http://..."}

A directive in a project's name says how the project goes:
   "name": "clip 7 [fake error=no_source_face]"
   canceled, status=draft status_for=10s, render=3s, queued=2s, missing_gets=3, empty_gets=2,
   late_gets=2, change_after=1, outputs=4, output_size=1000000, body=truncated|cut|chunked|short|slow|stalled,
   body_times=1, rate=1000, deleted_as=disabled, delete_status=422

Steer it from outside at /_fake/: GET ledger, totals, projects; POST faults
({"call":"create","status":502,"shape":"html","times":2}); PUT key, credits; and more.`

func flags() []cli.Flag {
	return []cli.Flag{
		text("addr", "127.0.0.1:8421", "where the API listens; port 0 takes a free one"),
		text("media-addr", "127.0.0.1:8422", "where the media host listens; port 0 takes a free one"),
		text("media-url", "", "public base of media URLs (default: http:// and the address it listens on)"),
		text("base-path", "", "put before every path of the API"),
		text("key", "", "the accepted API key (default: any)"),
		number("credits", 1_000_000, "balance at the start"),
		factor("time-scale", 1, "multiplies the published render times; 0.01 is a hundred times faster"),
		factor("spread", 0, "how far render times scatter: standard deviation of their logarithm"),
		span("render", 0, "time of every render, in place of the published ones"),
		number("seed", 0, "seed of ids and media; 0 takes another one each time"),
		number("output-size", 0, "bytes of every output; 0 makes small media that play"),
		factor("rate", 0, "calls a second that are taken, after a burst of one second's worth; more are answered 429 (default: any number)"),
		factor("rate-burst", 0, "calls that are taken at once, in place of one second's worth"),
		span("url-ttl", 24*time.Hour, "how long signed URLs live"),
		text("deleted-as", string(magichourtest.Gone), "answer for deleted projects: 404 or disabled"),
		text("webhook-url", "", "where events are sent (default: nowhere)"),
		text("webhook-secret", "whsec_fake", "signs the events"),
		text("log-level", "info", "debug, with a line for every request, info, warn or error"),
	}
}

func variable(name string) cli.ValueSourceChain {
	return cli.EnvVars("FAKEHOUR_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}

func text(name, value, usage string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}
}

func number(name string, value int64, usage string) cli.Flag {
	return &cli.Int64Flag{Name: name, Value: value, Usage: usage, Sources: variable(name)}
}

func factor(name string, value float64, usage string) cli.Flag {
	return &cli.FloatFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}
}

func span(name string, value time.Duration, usage string) cli.Flag {
	return &cli.DurationFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}
}

func read(c *cli.Command) (*chosen, error) {
	if c.Args().Present() {
		return nil, settings.Usage("unexpected argument %q; see fakehour --help", c.Args().First())
	}
	var says chosen
	if err := says.level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, settings.Usage("--log-level: %w", err)
	}
	says.fake = magichourtest.Options{
		Addr: c.String("addr"), MediaAddr: c.String("media-addr"), MediaURL: c.String("media-url"),
		BasePath: c.String("base-path"), Key: c.String("key"), Credits: int(c.Int64("credits")),
		TimeScale: c.Float("time-scale"), Spread: c.Float("spread"), Seed: uint64(c.Int64("seed")), //nolint:gosec // any bits will do
		Rate: c.Float("rate"), RateBurst: c.Float("rate-burst"),
		OutputSize: c.Int64("output-size"), URLTTL: c.Duration("url-ttl"),
		DeletedAs: magichourtest.DeletedAs(c.String("deleted-as")),
		Webhooks:  magichourtest.Webhooks{URL: c.String("webhook-url"), Secret: c.String("webhook-secret")},
	}
	if c.IsSet("render") {
		says.fake.Render = map[string]time.Duration{"": c.Duration("render")}
	}
	if says.fake.Seed == 0 {
		// A fake that is started again must not hand out the ids of projects that others
		// remember from before.
		says.fake.Seed = rand.Uint64() //nolint:gosec // it protects nothing
	}
	if says.fake.Credits == 0 {
		says.fake.Credits = -1 // 0 credits, and not the default
	}
	return &says, check(says.fake)
}

func check(o magichourtest.Options) error {
	switch {
	case o.TimeScale <= 0:
		return settings.Usage("--time-scale %v: want more than 0", o.TimeScale)
	case o.Spread < 0:
		return settings.Usage("--spread %v: want 0 or more", o.Spread)
	case o.OutputSize < 0:
		return settings.Usage("--output-size %d: want 0 or more bytes", o.OutputSize)
	case o.URLTTL <= 0:
		return settings.Usage("--url-ttl %v: want more than 0", o.URLTTL)
	case o.DeletedAs != magichourtest.Gone && o.DeletedAs != magichourtest.Disabled:
		return settings.Usage("--deleted-as %q: want %s or %s", o.DeletedAs, magichourtest.Gone, magichourtest.Disabled)
	case o.BasePath != "" && !strings.HasPrefix(o.BasePath, "/"):
		return settings.Usage("--base-path %q: want it to begin with a slash", o.BasePath)
	}
	return nil
}
