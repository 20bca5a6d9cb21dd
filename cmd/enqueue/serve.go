package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/seed-290c2414/hourglass/internal/front"
	"github.com/seed-290c2414/hourglass/internal/httpapi"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/storage"
)

const (
	varServeAddr  = "HOURGLASS_SERVE_ADDR"
	varTokensFile = "HOURGLASS_TOKENS_FILE"
	varPathStyle  = "S3_PATH_STYLE"
)

func serveCommand(stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "take jobs over HTTP, and show them to people in a browser",
		Description: `Services hand in jobs with POST /v1/jobs; GET /v1/openapi.json says all that there is. People see their jobs at /.

   enqueue token --tokens-file tokens.json --name shop --tenant acme
   enqueue serve --tokens-file tokens.json

Put a proxy with TLS in front: tokens are worth money. AWS_* are read as by the worker, to show the files of jobs. It keeps nothing
itself: any number of them may run over one Redis.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: settings.FlagName(varServeAddr), Value: "127.0.0.1:8424", Usage: "`ADDRESS` to listen on; port 0 takes a free one and logs it", Sources: settings.From(varServeAddr)},
			tokensFlag(),
			&cli.BoolFlag{Name: "no-auth", Usage: "let everybody do everything, without tokens; on a loopback address only"},
			&cli.BoolFlag{Name: settings.FlagName(varPathStyle), Usage: "bucket in the path, for S3-compatible servers", Sources: settings.From(varPathStyle)},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return settings.Usage("unexpected argument %q; see enqueue serve --help", c.Args().First())
			}
			return serve(ctx, c, serveLog(stderr))
		},
	}
}

func tokensFlag() cli.Flag {
	return &cli.StringFlag{Name: settings.FlagName(varTokensFile), Usage: "`FILE` of the tokens; it is read again when it changes", Sources: settings.From(varTokensFile)}
}

func serveLog(stderr io.Writer) *slog.Logger {
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return slog.New(slog.NewTextHandler(stderr, nil))
	}
	return slog.New(slog.NewJSONHandler(stderr, nil))
}

func serve(ctx context.Context, c *cli.Command, log *slog.Logger) error {
	tokens, err := openTokens(c, log)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.String(settings.FlagName(varServeAddr)))
	if err != nil {
		return settings.Usage("%s: %w; choose another address, or port 0 for a free one", varServeAddr, err)
	}
	defer func() { _ = listener.Close() }()
	if at, isTCP := listener.Addr().(*net.TCPAddr); tokens == nil && (!isTCP || !at.IP.IsLoopback()) {
		return settings.Usage("--no-auth: only on a loopback address such as 127.0.0.1:8424, not on %s", listener.Addr())
	}
	url, err := settings.Redis(c)
	if err != nil {
		return err
	}
	rdb, err := records.Connect(url)
	if err != nil {
		return settings.Usage("REDIS_URL: %w", err)
	}
	defer func() { _ = rdb.Close() }()

	log.Info("serving", "addr", listener.Addr().String(), "auth", tokens != nil)
	return front.Serve(ctx, listener, front.Config{
		Redis: rdb, Client: newClient(rdb), Tokens: tokens, Log: log,
		Files: storage.NewFiles(storage.Options{PathStyle: c.Bool(settings.FlagName(varPathStyle))}),
	})
}

// openTokens returns nil where everybody may do everything.
func openTokens(c *cli.Command, log *slog.Logger) (*httpapi.Tokens, error) {
	path := c.String(settings.FlagName(varTokensFile))
	switch {
	case c.Bool("no-auth") && path != "":
		return nil, settings.Usage("--no-auth and %s: give one of them", varTokensFile)
	case c.Bool("no-auth"):
		return nil, nil //nolint:nilnil // see httpapi.Config
	case path == "":
		return nil, settings.Usage("%s: not set; make a file with enqueue token, or say --no-auth", varTokensFile)
	}
	tokens, err := httpapi.OpenTokens(path, log)
	if err != nil {
		return nil, settings.Usage("%s: %w", varTokensFile, err)
	}
	return tokens, nil
}

func tokenCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "token",
		Usage: "make a token for enqueue serve, and print it",
		Description: `The token is printed once, and is nowhere kept: the file has its SHA-256. To take a token back, remove its entry from the file;
servers notice within a second. Credits are counted from midnight to midnight UTC.

   enqueue token --tokens-file tokens.json --name shop --tenant acme --credits-per-day 500`,
		Flags: []cli.Flag{
			tokensFlag(),
			&cli.StringFlag{Name: "name", Required: true, Usage: "what to call it, a `NAME`"},
			&cli.StringFlag{Name: "tenant", Required: true, Usage: "whose jobs it is about, a `NAME`; '*' for those of all"},
			&cli.StringSliceFlag{Name: "scope", Aliases: []string{"scopes"}, Usage: "what it may do: `SCOPES` of submit, read, cancel, retry and notify, separated by commas; all but notify if not given"},
			&cli.IntFlag{Name: "credits-per-day", Usage: "how many `CREDITS` its jobs may cost a day; any number if not given"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			path := c.String(settings.FlagName(varTokensFile))
			if path == "" || c.Args().Present() {
				return settings.Usage("want --tokens-file FILE (or %s), and no arguments", varTokensFile)
			}
			caller := httpapi.Caller{Name: c.String("name"), Tenant: c.String("tenant"), Scopes: httpapi.Scopes()}
			if c.IsSet("scope") {
				caller.Scopes = nil
				for _, s := range c.StringSlice("scope") {
					caller.Scopes = append(caller.Scopes, httpapi.Scope(s))
				}
			}
			if c.IsSet("credits-per-day") {
				credits := c.Int("credits-per-day")
				caller.CreditsPerDay = &credits
			}
			token := "hgt_" + rand.Text() + rand.Text()
			if err := caller.Add(path, token); err != nil {
				return settings.Usage("%w", err)
			}
			_, _ = fmt.Fprintf(stderr, "added to %s; the token is shown this once:\n", path)
			_, err := fmt.Fprintln(stdout, token)
			return err
		},
	}
}
