package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // adds itself to the default mux as well, which nobody serves
	"time"
)

// A front is where the worker listens: for those who run it, and for webhooks, which may come to the same address
// or to one of their own.
type front struct {
	admin, webhooks   *http.ServeMux // the same one where there is one address
	addr, webhookAddr string         // as they are; webhookAddr is empty where there is one

	servers   []*http.Server
	listeners []net.Listener
}

// profileFor is how long an answer of /debug/pprof/ may take: it collects for as long as it is asked to.
const profileFor = 2 * time.Minute

// listen takes the addresses.
func listen(ctx context.Context, c config, log *slog.Logger) (*front, error) {
	f := &front{admin: http.NewServeMux()}
	f.webhooks = f.admin
	at, err := f.listen(ctx, varHTTPAddr, c.httpAddr, f.admin, profileFor, log)
	if err != nil {
		return nil, err
	}
	f.addr = at.String()
	// Where webhooks come in, a proxy on this machine stands in front, and strangers behind it.
	if tcp, isTCP := at.(*net.TCPAddr); c.pprof || isTCP && tcp.IP.IsLoopback() && (c.webhookSecrets == nil || c.webhookAddr != "") {
		profiles(f.admin)
	}
	if c.webhookAddr == "" {
		return f, nil
	}
	f.webhooks = http.NewServeMux()
	at, err = f.listen(ctx, varWebhookAddr, c.webhookAddr, f.webhooks, 30*time.Second, log)
	if err != nil {
		f.close()
		return nil, err
	}
	f.webhookAddr = at.String()
	return f, nil
}

func (f *front) listen(ctx context.Context, variable, addr string, handler http.Handler, answerWithin time.Duration, log *slog.Logger) (net.Addr, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address, or port 0 for a free one", variable, err)
	}
	f.listeners = append(f.listeners, listener)
	f.servers = append(f.servers, &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: answerWithin, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
	return listener.Addr(), nil
}

// profiles adds what pprof has, but for the command line: the URL of Redis may stand there, with its password.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// serve begins to answer. What it returns says when one of the addresses can't be served any more, and why.
func (f *front) serve() <-chan error {
	failed := make(chan error, len(f.servers))
	for i, server := range f.servers {
		go func() { failed <- server.Serve(f.listeners[i]) }()
	}
	return failed
}

// close ends all of it, also what was never served.
func (f *front) close() {
	for i, server := range f.servers {
		_ = server.Close()
		_ = f.listeners[i].Close()
	}
}
