package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/settings"
)

// healthWithin is longer than the parts of a worker may take to answer.
const healthWithin = 15 * time.Second

func healthcheckCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "healthcheck",
		Usage: "ask the worker at HOURGLASS_HTTP_ADDR whether it is ready, print what it says, and exit with 0 or 1",
		Flags: []cli.Flag{httpAddrFlag(), &cli.BoolFlag{Name: "live", Usage: "ask only whether it answers"}},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return settings.Usage("unexpected argument %q; see worker healthcheck --help", c.Args().First())
			}
			addr, err := reachable(c.String(settings.FlagName(varHTTPAddr)))
			if err != nil {
				return err
			}
			path := "/readyz"
			if c.Bool("live") {
				path = "/livez"
			}
			said, err := askHealth(ctx, "http://"+addr+path)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(stdout, said)
			return err
		},
	}
}

// reachable turns an address to listen at into one to ask: a worker that listens everywhere is here as well.
func reachable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !validPort(port) || port == "0" {
		return "", settings.Usage("%s: %q: want the host:port at which the worker listens, such as 127.0.0.1:8420", varHTTPAddr, addr)
	}
	switch ip := net.ParseIP(host); {
	case host == "" || ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip.Equal(net.IPv6zero):
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// askHealth returns what a worker that is well says, and as an error what one says that is not.
func askHealth(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, healthWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // no proxy stands between the two
	if err != nil {
		return "", fmt.Errorf("no answer from %s: %w; is a worker there, and has it the same %s?", url, err, varHTTPAddr)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var said map[string]string
	if err != nil || json.Unmarshal(text, &said) != nil || said["status"] == "" {
		return "", fmt.Errorf("%s answers %s, and not as a worker does; is something else there?", url, resp.Status)
	}
	status := said["status"]
	delete(said, "status")
	words := []string{status}
	for _, part := range slices.Sorted(maps.Keys(said)) {
		words = append(words, part+": "+said[part])
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(strings.Join(words, "; "))
	}
	return strings.Join(words, "; "), nil
}
