// Package front serves the HTTP API and the pages at one address, and bounds what strangers there can take: time,
// memory and connections.
package front

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/net/netutil"

	"github.com/seed-290c2414/hourglass/internal/httpapi"
	"github.com/seed-290c2414/hourglass/internal/page"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// Config is what the front needs.
type Config struct {
	Redis  redis.UniversalClient
	Client *tasks.Client   // over that Redis
	Tokens *httpapi.Tokens // nil: everybody may do everything
	Files  *storage.Files  // by which the pages show what jobs have made
	Log    *slog.Logger
}

// The bounds. An answer that takes longer than the time for one, such as a stream of events or a large file, extends
// it for as long as somebody reads.
const (
	longestHeader     = 16 << 10
	connectionsAtMost = 4096 // others wait
	drainFor          = 15 * time.Second
	pingWithin        = 5 * time.Second
)

// limits are what a connection may take of time.
type limits struct{ header, request, answer, idle time.Duration }

var usual = limits{header: 5 * time.Second, request: 15 * time.Second, answer: 30 * time.Second, idle: time.Minute}

// Serve answers on the listener, which it closes, until ctx ends, and lets requests end that are under way.
func Serve(ctx context.Context, listener net.Listener, c Config) error {
	return serve(ctx, listener, c, usual)
}

func serve(ctx context.Context, listener net.Listener, c Config, within limits) error {
	api := httpapi.New(httpapi.Config{Client: c.Client, Records: records.New(c.Redis), Tokens: c.Tokens, Log: c.Log})
	server := &http.Server{
		Handler:           guarded(c.Tokens == nil, routes(api, pages(api, c), c.Redis)),
		ReadHeaderTimeout: within.header, ReadTimeout: within.request, WriteTimeout: within.answer, IdleTimeout: within.idle,
		MaxHeaderBytes: longestHeader, ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(listener, connectionsAtMost)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	api.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(err, server.Close())
	}
	return nil
}

// guarded answers, where there are no tokens, to the names of this machine alone, and to no page from elsewhere: a
// browser would carry their requests here.
func guarded(open bool, next http.Handler) http.Handler {
	if !open {
		return next
	}
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.Trim(r.Host, "[]")
		if name, _, err := net.SplitHostPort(r.Host); err == nil {
			host = name
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "without tokens only localhost is answered, not "+strconv.Quote(host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

func routes(api, pages http.Handler, rdb redis.UniversalClient) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("/", pages)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pingWithin)
		defer cancel()
		if rdb.Ping(ctx).Err() != nil {
			http.Error(w, "Redis does not answer", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	return mux
}

// pages shows jobs to whoever has a token, as it allows.
func pages(api *httpapi.API, c Config) http.Handler {
	return page.New(page.Config{
		Client: c.Client, Log: c.Log,
		Login: func(token string) (page.Visitor, bool) {
			caller, known := api.Caller(token)
			v := page.Visitor{Name: caller.Name, Tenant: caller.Tenant, All: caller.Tenant == httpapi.Everyone}
			if caller.May(httpapi.Cancel) {
				v.Cancel = func(ctx context.Context, job *tasks.Job) error {
					_, err := c.Client.Cancel(ctx, job.ID)
					return err
				}
			}
			if caller.May(httpapi.Retry) {
				v.Retry = func(ctx context.Context, job *tasks.Job) error { return inWords(api.RetryFor(ctx, caller, job)) }
			}
			if c.Tokens == nil {
				v.Name = "" // there is nobody to log out
			}
			return v, known && caller.May(httpapi.Read)
		},
		Open: func(ctx context.Context, o tasks.Output) (io.ReadCloser, error) { return c.Files.Open(ctx, o.URL) },
	})
}

// inWords passes on why a budget refuses.
func inWords(err error) error {
	if why := httpapi.Refusal(err); why != "" {
		return &page.RefusedError{Why: why}
	}
	return err
}
