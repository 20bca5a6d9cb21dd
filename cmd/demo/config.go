package main

import (
	"errors"
	"net"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/dashboard"
)

// config is what the user has chosen.
type config struct {
	keep             bool
	dashboardAddr    string
	dashboardIsNamed bool // by the user: then no other address will do
	httpAddr         string
	httpIsNamed      bool
	redisAddr        string
	dir              string
	timeScale        float64
	verbose          bool
}

func flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "keep", Usage: "leave it running when the samples have ended, for cmd/enqueue and a browser, until Ctrl-C"},
		&cli.StringFlag{Name: "dashboard-addr", Usage: "where the dashboard listens; port 0 takes a free one, and so does the default if it is taken", Value: "127.0.0.1:8080", Validator: checkAddr},
		&cli.StringFlag{Name: "http-addr", Usage: "where jobs are taken and shown, as by enqueue serve --no-auth; port 0 takes a free one, and so does the default if it is taken", Value: "127.0.0.1:8424", Validator: checkAddr},
		&cli.StringFlag{Name: "redis-addr", Usage: "where the embedded Redis listens; port 0 takes a free one", Value: "127.0.0.1:0", Validator: checkAddr},
		&cli.StringFlag{Name: "dir", Usage: "`FOLDER` for the files of the jobs; made if it is not there", Value: "media"},
		&cli.FloatFlag{Name: "time-scale", Usage: "multiplies the published render times: 0.1 renders ten times faster than Magic Hour, 1 as slowly", Value: 0.1, Validator: checkTimeScale},
		&cli.BoolFlag{Name: "verbose", Usage: "let the worker log every step to stderr, not only what goes wrong"},
	}
}

func read(c *cli.Command) config {
	return config{
		keep:          c.Bool("keep"),
		dashboardAddr: c.String("dashboard-addr"), dashboardIsNamed: c.IsSet("dashboard-addr"),
		httpAddr: c.String("http-addr"), httpIsNamed: c.IsSet("http-addr"),
		redisAddr: c.String("redis-addr"),
		dir:       c.String("dir"),
		timeScale: c.Float("time-scale"),
		verbose:   c.Bool("verbose"),
	}
}

// checkAddr refuses what others could reach: neither the dashboard nor the embedded Redis asks
// for a password.
func checkAddr(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || !dashboard.IsLoopback(host) {
		return errors.New("want an address that only this machine can reach, such as 127.0.0.1:8080: there is no password")
	}
	return nil
}

func checkTimeScale(scale float64) error {
	if scale > 0 && scale <= 1 { // false for NaN, too
		return nil
	}
	return errors.New("want more than 0 and at most 1")
}
