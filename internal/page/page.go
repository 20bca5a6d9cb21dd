// Package page shows people their jobs in a browser: what is on the road and how far, what came of the others, their
// files, and why they failed. Pages are rendered here, work without scripts, and on a phone.
package page

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A Visitor is somebody who has shown a token, and what it allows.
type Visitor struct {
	Name   string
	Tenant string // whose jobs it sees; with All, everybody's
	All    bool

	Cancel, Retry func(context.Context, *tasks.Job) error // nil: it may not. Their errors are ErrState, a *RefusedError, or of Redis
}

// A RefusedError is one whose text says to a visitor why not.
type RefusedError struct{ Why string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Why }

func (v Visitor) sees(job *tasks.Job) bool { return v.All || job.Options.Tenant == v.Tenant }

// Config is what the pages need.
type Config struct {
	Client *tasks.Client
	Login  func(token string) (Visitor, bool) // asked at every request; of no token it is asked with an empty one
	Open   func(context.Context, tasks.Output) (io.ReadCloser, error)
	Log    *slog.Logger
}

//go:embed templates/*.html assets/*
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"bar": func(j *tasks.Job) int { return j.Progress(time.Now()) }, "ago": ago, "left": left, "size": size, "shows": shows, "class": class, "query": url.QueryEscape, "path": url.PathEscape,
}).ParseFS(files, "templates/*.html"))

// New returns the handler of the pages: / and what is linked from there.
func New(c Config) http.Handler {
	p := &pages{c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.visited(p.list))
	mux.HandleFunc("GET /jobs/{id}", p.visited(p.job))
	mux.HandleFunc("POST /jobs/{id}/cancel", p.visited(p.cancel))
	mux.HandleFunc("POST /jobs/{id}/retry", p.visited(p.retry))
	mux.HandleFunc("GET /jobs/{id}/files/{n}", p.visited(p.file))
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /logout", p.logout)
	mux.Handle("GET /assets/", http.FileServerFS(files))
	// Forms of other sites are refused: whoever is logged in does not act for them.
	return secured(http.NewCrossOriginProtection().Handler(mux))
}

type pages struct{ Config }

// secured says what a browser may do with a page: nothing from elsewhere, and nowhere else.
func secured(next http.Handler) http.Handler {
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// cookie holds the token of whoever is logged in.
const cookie = "hourglass_token"

type handler func(http.ResponseWriter, *http.Request, Visitor) error

// visited shows the door to whoever has no token, and says what went wrong with the rest.
func (p *pages) visited(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := ""
		if c, err := r.Cookie(cookie); err == nil {
			token = c.Value
		}
		visitor, known := p.Login(token)
		if !known {
			p.show(w, http.StatusUnauthorized, "login.html", door{Wrong: token != "", To: r.URL.RequestURI()})
			return
		}
		if err := next(w, r, visitor); err != nil {
			p.fail(w, r, err)
		}
	}
}

type door struct {
	Wrong bool
	To    string // where the visitor wanted to go
}

// ownPath is a page to which a visitor may be led from the door.
var ownPath = regexp.MustCompile(`^/(jobs/[A-Za-z0-9][A-Za-z0-9._-]*)?(\?show=[a-z]*)?$`)

func (p *pages) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	token := r.PostFormValue("token")
	to := r.PostFormValue("to")
	if !ownPath.MatchString(to) {
		to = "/"
	}
	if _, known := p.Login(token); !known {
		p.show(w, http.StatusUnauthorized, "login.html", door{Wrong: true, To: to})
		return
	}
	p.setCookie(w, r, token, int((30 * 24 * time.Hour).Seconds()))
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // a path of this site: it was just looked at
}

func (p *pages) logout(w http.ResponseWriter, r *http.Request) {
	p.setCookie(w, r, "", -1)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *pages) setCookie(w http.ResponseWriter, r *http.Request, token string, age int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the browser came by TLS; on loopback it does not
		Name: cookie, Value: token, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

var (
	errNotFound = errors.New("no such job, or not any more")
	errGone     = errors.New("the file is not in the store any more")
)

// find returns a job that the visitor may see. Another tenant's is not there.
func (p *pages) find(r *http.Request, v Visitor) (*tasks.Job, error) {
	job, err := p.Client.Job(r.Context(), r.PathValue("id"))
	if errors.Is(err, tasks.ErrNotFound) || errors.Is(err, tasks.ErrInvalid) || err == nil && !v.sees(job) {
		return nil, errNotFound
	}
	return job, err
}

func (p *pages) show(w http.ResponseWriter, status int, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := templates.ExecuteTemplate(w, name, data); err != nil {
		p.Log.Debug("page cut short", "page", name, "reason", err)
	}
}

// fail says what went wrong, in words that hold no more than a visitor may know.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusServiceUnavailable, "Redis or the store does not answer; try again in a moment."
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		status, text = http.StatusForbidden, refused.Why
	case errors.Is(err, errGone):
		status, text = http.StatusNotFound, "The file is not in the store any more."
	case errors.Is(err, errNotFound):
		status, text = http.StatusNotFound, "There is no such job, or its record has expired."
	case errors.Is(err, errForbidden):
		status, text = http.StatusForbidden, "Your token does not allow that."
	case errors.Is(err, tasks.ErrState):
		status, text = http.StatusConflict, err.Error()
	default:
		p.Log.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "reason", err)
	}
	p.show(w, status, "error.html", struct{ Title, Text string }{http.StatusText(status), text})
}

var errForbidden = errors.New("not allowed")
