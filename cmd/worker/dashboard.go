package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"

	"github.com/redis/go-redis/v9"
	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/dashboard"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

const (
	varDashboardPassword = "HOURGLASS_DASHBOARD_PASSWORD"

	// A browser may be asked as often as one likes.
	shortestPassword = 12
)

func dashboardCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "dashboard",
		Usage: "serve Asynqmon, the dashboard of the queues, behind a password and without what is secret in payloads",
		Description: `The password comes from HOURGLASS_DASHBOARD_PASSWORD, or from the file that HOURGLASS_DASHBOARD_PASSWORD_FILE names,
and has at least 12 characters; the file is read at every request, so that it can be changed. It passes in the clear:
beyond this machine put a proxy with TLS before it. No API key and no store is needed, only Redis.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "addr", Value: "127.0.0.1:8080", Usage: "where it listens; port 0 takes a free one and says which"},
			&cli.StringFlag{Name: "user", Value: "hourglass", Usage: "name that goes with the password"},
			&cli.BoolFlag{Name: "without-password", Usage: "let everybody in who can reach it; only on an address of this machine alone"},
			&cli.BoolFlag{Name: "writable", Usage: "let people pause queues, and run, archive and delete tasks; docs/dashboard.md says what comes of each"},
			&cli.StringFlag{Name: "prometheus-url", Usage: "`URL` of the Prometheus that scrapes the workers, for the page of metrics"},
		},
		Action: func(ctx context.Context, c *cli.Command) error { return serveDashboard(ctx, c, stdout) },
	}
}

func serveDashboard(ctx context.Context, c *cli.Command, stdout io.Writer) error {
	o, err := readDashboard(c)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.String("addr"))
	if err != nil {
		return fmt.Errorf("--addr: %w; choose another address, or port 0 for a free one", err)
	}
	may := "read-only"
	if o.Writable {
		may = "writable"
	}
	if _, err := fmt.Fprintf(stdout, "dashboard, %s: http://%s\n", may, listener.Addr()); err != nil {
		return err
	}
	d := dashboard.Serve(listener, o)
	defer d.Close()
	return d.Wait(ctx)
}

func readDashboard(c *cli.Command) (dashboard.Options, error) {
	if c.Args().Present() {
		return dashboard.Options{}, settings.Usage("unexpected argument %q; see worker dashboard --help", c.Args().First())
	}
	login, err := readLogin(c)
	if err != nil {
		return dashboard.Options{}, err
	}
	prometheus := c.String("prometheus-url")
	if u, err := url.Parse(prometheus); prometheus != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https") {
		return dashboard.Options{}, settings.Usage("--prometheus-url: want http://host:port, without a user: the page shows it")
	}
	redisURL, err := settings.Redis(c)
	if err != nil {
		return dashboard.Options{}, err
	}
	tried, err := records.Connect(redisURL)
	if err != nil {
		return dashboard.Options{}, settings.Usage("REDIS_URL: %w", err)
	}
	_ = tried.Close()
	connect := func() redis.UniversalClient {
		rdb, _ := records.Connect(redisURL) // as a moment ago
		return rdb
	}
	return dashboard.Options{Connect: connect, Login: login, Writable: c.Bool("writable"), Prometheus: prometheus}, nil
}

// readLogin is nil where nobody is asked for a password, which must be said and is for this machine alone.
func readLogin(c *cli.Command) (*dashboard.Login, error) {
	host, port, err := net.SplitHostPort(c.String("addr"))
	if err != nil || !validPort(port) {
		return nil, settings.Usage("--addr: %q: want host:port, such as 127.0.0.1:8080", c.String("addr"))
	}
	if c.Bool("without-password") {
		if !dashboard.IsLoopback(host) {
			return nil, settings.Usage("--without-password: others can reach %s; want an address of this machine alone, such as 127.0.0.1:8080, or a password in %s", c.String("addr"), varDashboardPassword)
		}
		return nil, nil //nolint:nilnil // nobody is asked
	}
	password, err := settings.Secret(varDashboardPassword)
	if err != nil {
		return nil, fmt.Errorf("%w; on this machine alone --without-password does as well", err)
	}
	if len(password) < shortestPassword {
		return nil, settings.Usage("%s: want at least %d characters, as openssl rand -hex 16 makes them", varDashboardPassword, shortestPassword)
	}
	return &dashboard.Login{User: c.String("user"), Password: func() (string, error) { return settings.Secret(varDashboardPassword) }}, nil
}
