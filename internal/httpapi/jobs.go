package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A request is what is handed in. It is a line of a batch, too.
type request struct {
	ID        string          `json:"id"`
	Operation string          `json:"operation"`
	Body      json.RawMessage `json:"body"`
	Options   tasks.Options   `json:"options"`
}

func (a *API) submit(w http.ResponseWriter, r *http.Request, c Caller) error {
	var q request
	if err := decode(r, &q); err != nil {
		return err
	}
	wanted, err := q.of(c, r.Header.Get("Idempotency-Key"))
	if err != nil {
		return err
	}
	// Whoever hangs up has still asked for it: a job is not left half accepted.
	ctx, cancel := within(context.WithoutCancel(r.Context()))
	defer cancel()
	fresh, err := tasks.NewJob(wanted, a.Now())
	if err != nil {
		return err
	}
	wanted.ID = fresh.ID
	standing, err := a.Client.Check(ctx, wanted)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if standing == nil {
		status = http.StatusAccepted
		if err := a.reserve(ctx, w.Header(), c, purchaseOf(fresh)); err != nil {
			return err
		}
	}
	job, err := a.Client.Submit(ctx, wanted)
	if err != nil {
		return errors.Join(err, a.giveBack(ctx, c, fresh))
	}
	w.Header().Set("Location", "/v1/jobs/"+job.ID)
	writeJSON(w, status, job.View())
	return nil
}

// of is the request of a caller: for its own tenant, under the id that body or header name.
func (q request) of(c Caller, key string) (tasks.Request, error) {
	switch {
	case key != "" && q.ID != "" && key != q.ID:
		return tasks.Request{}, problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "Idempotency-Key and id differ: give one of them", Errors: []tasks.Problem{{Path: "id", Message: "must be the Idempotency-Key, or missing"}}}
	case key != "":
		q.ID = key
	}
	if c.Tenant != Everyone {
		if q.Options.Tenant != "" && q.Options.Tenant != c.Tenant {
			return tasks.Request{}, problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "the token is for tenant " + c.Tenant + ": leave options.tenant out"}
		}
		q.Options.Tenant = c.Tenant
	}
	if q.Options.Overwrite && c.Tenant != Everyone {
		return tasks.Request{}, problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "options.overwrite may replace what another tenant's job has made: it takes a token of all tenants"}
	}
	if to := q.Options.Notify; (to.Task != nil || to.Stream != "") && !c.May(Notify) {
		return tasks.Request{}, problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "notify.task and notify.stream write into the Redis of the fleet: the token has no scope " + string(Notify) + "; notify.url needs none"}
	}
	return tasks.Request{ID: q.ID, Operation: q.Operation, Body: q.Body, Options: q.Options}, nil
}

// find returns a job that the caller may know of. Of another tenant's it is said what is said of none.
func (a *API) find(ctx context.Context, id string, c Caller) (*tasks.Job, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	job, err := a.Client.Job(ctx, id)
	if errors.Is(err, tasks.ErrInvalid) || err == nil && !c.Sees(job) {
		return nil, notFound
	}
	return job, err
}

func (a *API) job(w http.ResponseWriter, r *http.Request, c Caller) error {
	job, err := a.find(r.Context(), r.PathValue("id"), c)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, job.View())
	return nil
}

func (a *API) cancel(w http.ResponseWriter, r *http.Request, c Caller) error {
	job, err := a.find(r.Context(), r.PathValue("id"), c)
	if err != nil {
		return err
	}
	ctx, cancel := within(r.Context())
	defer cancel()
	if job, err = a.Client.Cancel(ctx, job.ID); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, job.View())
	return nil
}

// retry takes an empty body for one that asks for nothing.
func (a *API) retry(w http.ResponseWriter, r *http.Request, c Caller) error {
	var q struct {
		Recreate bool `json:"recreate"`
	}
	body := bufio.NewReader(r.Body)
	if _, err := body.Peek(1); !errors.Is(err, io.EOF) {
		r.Body = io.NopCloser(body)
		if err := decode(r, &q); err != nil {
			return err
		}
	}
	job, err := a.find(r.Context(), r.PathValue("id"), c)
	if err != nil {
		return err
	}
	if job, err = a.retryFor(r.Context(), w.Header(), c, job, q.Recreate); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, job.View())
	return nil
}

// retryFor sets credits aside for what it may buy.
func (a *API) retryFor(ctx context.Context, h http.Header, c Caller, job *tasks.Job, recreate bool) (*tasks.Job, error) {
	ctx, cancel := within(context.WithoutCancel(ctx))
	defer cancel()
	again := job.Clone()
	if err := again.Retry(recreate, a.Now()); err != nil {
		return nil, err // before anything is reserved
	}
	if again.State == tasks.Pending {
		if err := a.reserve(ctx, h, c, purchaseOf(again)); err != nil {
			return nil, err
		}
	}
	return a.Client.Retry(ctx, job.ID, recreate)
}

// RetryFor puts a failed job back on the road for a caller who may do that, within its budget, as POST
// /v1/jobs/{id}/retry does. An error of the budget reads as what to do.
func (a *API) RetryFor(ctx context.Context, c Caller, job *tasks.Job) error {
	_, err := a.retryFor(ctx, http.Header{}, c, job, false)
	return err
}

const (
	listed     = 50
	listAtMost = 200
)

// A page is part of a list.
type page struct {
	Jobs []tasks.View `json:"jobs"`
	Next string       `json:"next,omitempty"` // the cursor of the next page; missing at the end
}

func (a *API) list(w http.ResponseWriter, r *http.Request, c Caller) error {
	filter, limit, err := a.filter(r, c)
	if err != nil {
		return err
	}
	ctx, cancel := within(r.Context())
	defer cancel()
	jobs, next, err := a.Client.Page(ctx, filter, r.URL.Query().Get("cursor"), limit)
	if errors.Is(err, tasks.ErrInvalid) {
		return wrongQuery("cursor", "want what next has said")
	}
	if err != nil {
		return err
	}
	p := page{Jobs: []tasks.View{}, Next: next}
	for _, job := range jobs {
		p.Jobs = append(p.Jobs, job.View())
	}
	writeJSON(w, http.StatusOK, p)
	return nil
}

func wrongQuery(name, message string) error {
	return problem{Status: http.StatusBadRequest, Code: "malformed", Detail: name + ": " + message, Errors: []tasks.Problem{{Path: name, Message: message}}}
}

// filter reads the query of a list.
func (a *API) filter(r *http.Request, c Caller) (f tasks.Filter, limit int, err error) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains([]string{"state", "operation", "tenant", "since", "limit", "cursor"}, name) {
			return f, 0, wrongQuery(name, "want state, operation, tenant, since, limit or cursor")
		}
	}
	f.Operation, f.Tenant = q.Get("operation"), c.Tenant
	if c.Tenant == Everyone {
		f.Tenant = q.Get("tenant")
	} else if t := q.Get("tenant"); t != "" && t != c.Tenant {
		return f, 0, problem{Status: http.StatusForbidden, Code: "forbidden", Detail: "the token is for tenant " + c.Tenant}
	}
	if _, known := operations.Lookup(f.Operation); f.Operation != "" && !known {
		return f, 0, wrongQuery("operation", operations.Unknown(f.Operation))
	}
	for _, name := range q["state"] {
		for state := range strings.SplitSeq(name, ",") {
			if !slices.Contains(tasks.States(), tasks.State(state)) {
				return f, 0, wrongQuery("state", fmt.Sprintf("no state is called %q", state))
			}
			f.States = append(f.States, tasks.State(state))
		}
	}
	if text := q.Get("since"); text != "" {
		if f.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return f, 0, wrongQuery("since", "want a time such as 2026-11-25T06:00:00Z")
		}
	}
	limit = listed
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > listAtMost {
			return f, 0, wrongQuery("limit", fmt.Sprintf("want a number from 1 to %d", listAtMost))
		}
	}
	return f, limit, nil
}

// An offer is an operation that can be asked for.
type offer struct {
	Name           string          `json:"name"`
	Kind           operations.Kind `json:"kind"`
	TypicalSeconds float64         `json:"typical_seconds"`
	Assets         []string        `json:"assets"`
	Rules          []string        `json:"rules"`
	Schema         json.RawMessage `json:"schema,omitempty"` // of the body, in JSON Schema 2020-12
}

func offerOf(o operations.Operation) offer {
	return offer{Name: o.Name, Kind: o.Kind, TypicalSeconds: o.Typical.Seconds(), Assets: append([]string{}, o.Assets...), Rules: append([]string{}, o.Rules()...)}
}

func (a *API) operations(w http.ResponseWriter, _ *http.Request, _ Caller) error {
	all := struct {
		Operations []offer `json:"operations"`
	}{}
	for _, o := range operations.All() {
		all.Operations = append(all.Operations, offerOf(o))
	}
	writeJSON(w, http.StatusOK, all)
	return nil
}

func (a *API) operation(w http.ResponseWriter, r *http.Request, _ Caller) error {
	o, known := operations.Lookup(r.PathValue("name"))
	if !known {
		return problem{Status: http.StatusNotFound, Code: "not_found", Detail: operations.Unknown(r.PathValue("name"))}
	}
	one := offerOf(o)
	one.Schema = o.Schema()
	writeJSON(w, http.StatusOK, one)
	return nil
}
