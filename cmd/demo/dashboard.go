package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
)

// A dashboard is Asynqmon over the embedded Redis.
type dashboard struct {
	url    string
	moved  string // the default address, if it was taken
	pages  *asynqmon.HTTPHandler
	server *http.Server
	served chan struct{}
}

func startDashboard(ctx context.Context, c config, redisAddr string) (*dashboard, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.dashboardAddr)
	moved := ""
	if err != nil && !c.dashboardIsNamed {
		moved = c.dashboardAddr
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("--dashboard-addr %s: %w; choose another one, or port 0 for a free one", c.dashboardAddr, err)
	}
	d := &dashboard{
		url: "http://" + listener.Addr().String(), moved: moved, served: make(chan struct{}),
		pages: asynqmon.New(asynqmon.Options{
			RedisConnOpt:     asynq.RedisClientOpt{Addr: redisAddr},
			PayloadFormatter: asynqmon.PayloadFormatterFunc(asItIs),
			ResultFormatter:  asynqmon.ResultFormatterFunc(asItIs),
		}),
	}
	d.server = &http.Server{Handler: guard(d.pages), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(d.served)
		_ = d.server.Serve(listener) // ends when close closes the listener
	}()
	return d, nil
}

func (d *dashboard) close() {
	_ = d.server.Close() // nobody can act on an error now
	<-d.served
	_ = d.pages.Close()
}

// asItIs shows all of a payload or a result. Asynqmon's own way hides one whole if there is a
// character in it that can't be seen, as in many an emoji.
func asItIs(_ string, text []byte) string { return string(text) }

// guard keeps other web pages out, which the user may have open in the same browser: Asynqmon can
// delete and run tasks, and asks for no password. A page whose name was bound anew to this
// machine's address shows by its Host, any other page by what the browser says of its origin.
func guard(pages http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection().Handler(pages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := (&url.URL{Host: r.Host}).Hostname(); !isLoopback(host) {
			http.Error(w, "the dashboard has no password, so it answers only as localhost or 127.0.0.1", http.StatusForbidden)
			return
		}
		w.Header().Set("X-Frame-Options", "DENY") // clicks within a frame would count as the dashboard's own
		sameOrigin.ServeHTTP(w, r)
	})
}
