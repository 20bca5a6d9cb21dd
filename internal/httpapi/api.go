// Package httpapi is Hourglass over HTTP: it hands jobs in and tells what became of them, for services in any language.
//
// Every request shows a bearer token, which says whose jobs it is about, what it may do, and how many credits it may
// spend a day. A job of somebody else is not there. openapi.json is the contract, and the tests hold it to the handlers.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// Config is what the API needs.
type Config struct {
	Client  *tasks.Client
	Records *records.Store // of the same Redis
	Tokens  *Tokens        // nil: everybody may do everything
	Log     *slog.Logger
	Now     func() time.Time // nil: the clock
}

// An API answers requests below /v1. It is safe for concurrent use.
type API struct {
	Config
	routes  *http.ServeMux
	streams streams
	ending  chan struct{} // closed when streams are to end
	settled settlements
}

// New returns the API.
func New(c Config) *API {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &API{Config: c, routes: http.NewServeMux(), ending: make(chan struct{})}
	for _, r := range a.table() {
		a.routes.HandleFunc(r.pattern, a.asked(r))
	}
	return a
}

// A route is what somebody with a scope may ask for. openapi.json has the same routes.
type route struct {
	pattern string
	scope   Scope // "": a token alone is enough
	open    bool  // to everybody
	answer  func(http.ResponseWriter, *http.Request, Caller) error
}

func (a *API) table() []route {
	return []route{
		{pattern: "POST /v1/jobs", scope: Submit, answer: a.submit},
		{pattern: "GET /v1/jobs", scope: Read, answer: a.list},
		{pattern: "GET /v1/jobs/{id}", scope: Read, answer: a.job},
		{pattern: "GET /v1/jobs/{id}/events", scope: Read, answer: a.events},
		{pattern: "POST /v1/jobs/{id}/cancel", scope: Cancel, answer: a.cancel},
		{pattern: "POST /v1/jobs/{id}/retry", scope: Retry, answer: a.retry},
		{pattern: "GET /v1/operations", answer: a.operations},
		{pattern: "GET /v1/operations/{name}", answer: a.operation},
		{pattern: "GET /v1/openapi.json", open: true, answer: openAPI},
	}
}

// Close ends the streams of events, which would outlive a server that is shut down.
func (a *API) Close() { close(a.ending) }

// Caller returns whose token it is.
func (a *API) Caller(token string) (Caller, bool) {
	if a.Tokens == nil {
		return everybody, true
	}
	return a.Tokens.Lookup(token)
}

// asked lets a caller in who may, and answers for what goes wrong.
func (a *API) asked(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		caller, known := a.Caller(bearer(q))
		switch {
		case r.open || known && (r.scope == "" || caller.May(r.scope)):
			if err := r.answer(w, q, caller); err != nil {
				a.fail(w, q, err)
			}
		case !known:
			w.Header().Set("WWW-Authenticate", `Bearer realm="hourglass"`)
			write(w, problem{Status: http.StatusUnauthorized, Code: "unauthorized", Detail: "want Authorization: Bearer TOKEN, with a token that enqueue token has made"})
		default:
			write(w, problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "the token has no scope " + string(r.scope)})
		}
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	a.logged(w, r, a.routed) //nolint:contextcheck // it goes with the request
}

func (a *API) routed(w http.ResponseWriter, r *http.Request) {
	handler, pattern := a.routes.Handler(r)
	if pattern == "" {
		unrouted(w, r, handler)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, longestBody)
	a.routes.ServeHTTP(w, r)
}

// longestBody bounds a request: its job is kept in Redis several times, and to look at it takes time and memory. The
// longest text that the API takes has 15,000 characters.
const longestBody = 64 << 10

// answerWithin bounds what Redis is asked for one request.
const answerWithin = 10 * time.Second

func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, answerWithin)
}
