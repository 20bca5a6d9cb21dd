package magichour

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// Project is the state of a project at Magic Hour, of whichever kind. It has the fields that
// Hourglass needs and no others, so that an odd value in one of those can't hide a project.
type Project struct {
	ID             string        `json:"id"`
	Name           Text          `json:"name"`
	Status         string        `json:"status"`
	CreatedAt      Time          `json:"created_at"`
	Enabled        *bool         `json:"enabled"` // false: deleted
	CreditsCharged Credits       `json:"credits_charged"`
	Downloads      []Download    `json:"downloads"` // in no order
	Error          *ProjectError `json:"error"`
}

// The final statuses of a project. Every other one means: not finished yet.
const (
	StatusComplete = "complete"
	StatusError    = "error"
	StatusCanceled = "canceled"
)

// StatusQueued is the status of a project whose render has not begun.
const StatusQueued = "queued"

// Credits is a number of credits. One that can't be read counts as 0: a purchase whose id is
// known must not become unknown because of its price.
type Credits int

// UnmarshalJSON never fails.
func (c *Credits) UnmarshalJSON(text []byte) error {
	var f float64
	if json.Unmarshal(text, &f) == nil {
		*c = Credits(math.Round(f))
	}
	return nil
}

// Text is a text that only some callers need: one that can't be read counts as empty.
type Text string

// UnmarshalJSON never fails.
func (t *Text) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*t = Text(s)
	}
	return nil
}

// Time is a moment that only some callers need: one that can't be read counts as the zero time.
type Time struct{ time.Time }

// UnmarshalJSON never fails.
func (t *Time) UnmarshalJSON(text []byte) error {
	var at time.Time
	if json.Unmarshal(text, &at) == nil {
		t.Time = at
	}
	return nil
}

// Deleted reports whether the project is a tombstone: readable, but gone.
func (p Project) Deleted() bool { return p.Enabled != nil && !*p.Enabled }

// Download is one output of a project. Its URL is signed: it is a secret.
type Download struct {
	URL string `json:"url"`
}

// Path returns the path of the URL, which names the output from one answer to the next; the
// query is signed anew every time.
func (d Download) Path() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	return u.EscapedPath()
}

// ProjectError says why a render failed.
type ProjectError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Project returns the state of one project of the given kind.
//
// A project that does not exist is an *Error with status 404; a deleted one may also be
// answered with Enabled false. Safe to repeat.
//
// Source: GET /v1/{kind}-projects/{id}
// https://docs.magichour.ai/api-reference/video-projects/get-video-details
func (c *Client) Project(ctx context.Context, kind operations.Kind, id string) (Project, error) {
	var p Project
	err := c.do(ctx, c.api, http.MethodGet, projectPath(kind, id), nil, &p)
	if err == nil && p.ID != id {
		err = &TransportError{Method: http.MethodGet, Path: projectPath(kind, id), Written: true, Err: errors.New("the answer is about another project")}
	}
	if p.Error != nil {
		p.Error.Message = clip(Redact(p.Error.Message))
	}
	return p, err
}

// Delete removes the outputs of a project for ever.
//
// A project that does not exist any more is an *Error with status 404. Safe to repeat.
//
// Source: DELETE /v1/{kind}-projects/{id}
// https://docs.magichour.ai/api-reference/video-projects/delete-video
func (c *Client) Delete(ctx context.Context, kind operations.Kind, id string) error {
	return c.do(ctx, c.api, http.MethodDelete, projectPath(kind, id), nil, nil)
}

func projectPath(kind operations.Kind, id string) string {
	return "/v1/" + string(kind) + "-projects/" + url.PathEscape(id)
}

// Account is who pays.
type Account struct {
	ID      string  `json:"id"`
	Tier    string  `json:"tier"`
	Credits Credits `json:"credits"`
}

// Account returns the account of the key. It is free: a check of key and credits. Safe to repeat.
//
// Source: GET /v1/account
func (c *Client) Account(ctx context.Context) (Account, error) {
	var a Account
	err := c.do(ctx, c.api, http.MethodGet, "/v1/account", nil, &a)
	return a, err
}

// Created is the answer to a create.
type Created struct {
	ID             string  `json:"id"`
	CreditsCharged Credits `json:"credits_charged"` // an estimate until a video is complete
}

// Create buys a project. NOT safe to repeat: the API has no idempotency key, and every create
// that it takes is charged.
//
// ready is called when the connection stands, right before the first byte leaves; if it returns
// an error, nothing is sent. An error after which nothing can have been bought is an *Error
// whose status says so, or a *TransportError with Written false.
//
// Source: POST /v1/{operation}
func (c *Client) Create(ctx context.Context, op operations.Operation, body json.RawMessage, ready func() error) (Created, error) {
	var created Created
	g := &guard{ready: ready}
	err := c.do(g.at(ctx), c.buy, http.MethodPost, op.Path, body, &created)
	if err == nil && created.ID == "" {
		err = &TransportError{Method: http.MethodPost, Path: op.Path, Err: errors.New("status 200, but without an id")}
	}
	var lost *TransportError
	if errors.As(err, &lost) {
		var calledOff error
		if lost.Written, calledOff = g.outcome(); calledOff != nil {
			lost.Err = calledOff
		}
	}
	return created, err
}
