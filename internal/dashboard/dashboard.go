// Package dashboard serves Asynqmon, the dashboard of the queues, as a library: behind a password, read-only
// unless told otherwise, and without what is secret in the payloads. Asynqmon's own program asks for no
// password, lets pages of any origin in, and shows payloads as they are.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

// Options say who may see the dashboard, and do what.
type Options struct {
	// Connect makes a client of Redis; Close ends what it made. Asynqmon wants several.
	Connect func() redis.UniversalClient

	// Login is whom the dashboard lets in; nil: everybody who reaches it, if they call it by a name of this
	// machine alone.
	Login *Login

	// Writable lets people pause queues, and run, archive and delete tasks.
	Writable bool

	// Prometheus is the URL of one that scrapes the workers, for the page of metrics; empty: there is no such page.
	Prometheus string
}

// A Dashboard is Asynqmon on a listener.
type Dashboard struct {
	pages  *asynqmon.HTTPHandler
	server *http.Server
	served chan struct{} // closed when it is served no more
	err    error         // why, if not by Close
}

// Serve serves until Close.
func Serve(listener net.Listener, o Options) *Dashboard {
	pages := asynqmon.New(asynqmon.Options{
		RedisConnOpt:      connector(o.Connect),
		PayloadFormatter:  asynqmon.PayloadFormatterFunc(shown),
		ResultFormatter:   asynqmon.ResultFormatterFunc(shown),
		PrometheusAddress: o.Prometheus,
		ReadOnly:          !o.Writable,
	})
	d := &Dashboard{pages: pages, served: make(chan struct{}), server: &http.Server{
		Handler:           guard(pages, o.Login),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}}
	go func() {
		defer close(d.served)
		if err := d.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.err = fmt.Errorf("serve the dashboard: %w", err)
		}
	}()
	return d
}

// Wait waits until ctx ends, or the dashboard can't be served any more.
func (d *Dashboard) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.served:
		return d.err
	}
}

// Close ends it, and its connections to Redis.
func (d *Dashboard) Close() {
	_ = d.server.Close() // nobody can act on an error now
	<-d.served
	_ = d.pages.Close()
}

// connector gives Asynqmon the clients that Hourglass makes: it has fewer ways to Redis of its own.
type connector func() redis.UniversalClient

// MakeRedisClient is asynq.RedisConnOpt.
func (c connector) MakeRedisClient() any { return c() }

// IsLoopback reports whether only this machine can reach an address of the host.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
