package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A problem is an answer that says no, as https://www.rfc-editor.org/rfc/rfc9457 has it.
type problem struct {
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Code   string          `json:"code"`   // for programs
	Detail string          `json:"detail"` // for people: what to do
	Errors []tasks.Problem `json:"errors,omitempty"`

	retryAfter time.Duration
}

// Error lets a handler return a problem.
func (p problem) Error() string { return p.Code + ": " + p.Detail }

// Refusal is what an error of RetryFor says to whoever asked; "" if it is none of the budget's.
func Refusal(err error) string {
	var p problem
	errors.As(err, &p)
	return p.Detail
}

func write(w http.ResponseWriter, p problem) {
	p.Title = http.StatusText(p.Status)
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.retryAfter/time.Second)))
	}
	writeAs(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeAs(w, status, "application/json", v) }

func writeAs(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // a caller that has gone needs no answer
}

// fail answers for an error of a handler. What it does not know is for the log alone.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known problem
	var invalid *tasks.InvalidError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		write(w, known)
	case errors.As(err, &tooLarge):
		write(w, problem{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "want a body of at most 64 KiB: files are given by URL"})
	case errors.As(err, &invalid):
		write(w, problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: err.Error(), Errors: invalid.Problems})
	case errors.Is(err, tasks.ErrNotFound):
		write(w, notFound)
	case errors.Is(err, tasks.ErrExists):
		write(w, problem{Status: http.StatusConflict, Code: "exists", Detail: "the id is taken by a different request; an id of its own makes this another job, which is paid for"})
	case errors.Is(err, tasks.ErrState):
		write(w, problem{Status: http.StatusConflict, Code: "state", Detail: err.Error()})
	case r.Context().Err() != nil:
		// Nobody is there any more.
	default:
		level := a.Log.ErrorContext
		if errors.Is(err, context.DeadlineExceeded) {
			level = a.Log.WarnContext
		}
		level(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "reason", err)
		write(w, problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "Redis does not answer as it should; try again: with an id, a POST may be repeated", retryAfter: 5 * time.Second})
	}
}

var notFound = problem{Status: http.StatusNotFound, Code: "not_found", Detail: "no such job, or not any more"}

// unrouted answers what no route takes, by what the mux would say.
func unrouted(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	says := &silent{header: http.Header{}}
	handler.ServeHTTP(says, r)
	if says.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", says.header.Get("Allow"))
		write(w, problem{Status: says.status, Code: "method_not_allowed", Detail: "want " + says.header.Get("Allow")})
	} else {
		write(w, problem{Status: http.StatusNotFound, Code: "no_route", Detail: "no such path; GET /v1/openapi.json says what there is"})
	}
}

// silent hears what a handler answers.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(status int)      { s.status = status }

// logged gives a request an id and a line in the log, and survives a handler that panics.
func (a *API) logged(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	id := r.Header.Get("X-Request-Id")
	if !validName.MatchString(id) {
		id = strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	w.Header().Set("X-Request-Id", id)
	began := a.Now()
	seen := &answer{ResponseWriter: w}
	defer func() {
		if broken := recover(); broken != nil {
			a.Log.ErrorContext(r.Context(), "handler panicked", "request", id, "reason", broken, "stack", string(debug.Stack()))
			if seen.status != 0 {
				panic(http.ErrAbortHandler) // a cut answer must not look whole
			} else {
				write(seen, problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "a fault of Hourglass: its log says more, by X-Request-Id"})
			}
		}
		level := slog.LevelInfo
		if r.Method == http.MethodGet && seen.status < http.StatusBadRequest {
			level = slog.LevelDebug // whoever asks from time to time fills no log
		}
		if !a.Log.Enabled(r.Context(), level) {
			return
		}
		// Not the query: it may hold a caller's own words.
		a.Log.Log(r.Context(), level, "request", "request", id, "method", r.Method, "path", r.URL.Path, "status", seen.status, "took", a.Now().Sub(began).String())
	}()
	next(seen, r)
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
