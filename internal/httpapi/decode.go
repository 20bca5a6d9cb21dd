package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/seed-290c2414/hourglass/tasks"
)

// decode reads a body of JSON. A field that nobody knows is refused: misspelt, it costs money.
func decode(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "want Content-Type: application/json"}
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read the body: %w", unlessTooLarge(err))
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if _, end := d.Token(); err == nil && !errors.Is(end, io.EOF) {
		err = errors.New("more than one value")
	}
	if err == nil {
		return nil
	}
	p := problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "the request: " + strings.TrimPrefix(err.Error(), "json: ")}
	var wrong *json.UnmarshalTypeError
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case unknown:
		p.Status, p.Code = http.StatusUnprocessableEntity, "invalid"
		p.Errors = []tasks.Problem{{Path: pathOf(text, strings.Trim(name, `"`)), Message: "unknown field: GET /v1/openapi.json says what there is"}}
	case errors.As(err, &wrong) && wrong.Field == "":
		p.Detail = "want a JSON object, not a " + wrong.Value
	case errors.As(err, &wrong):
		p.Status, p.Code = http.StatusUnprocessableEntity, "invalid"
		p.Errors = []tasks.Problem{{Path: wrong.Field, Message: "must not be a " + wrong.Value}}
	}
	return p
}

// pathOf finds where a request has a field that it can't have: encoding/json knows its name alone.
func pathOf(text []byte, name string) string {
	at, path := text, ""
	for _, below := range []string{"options", "notify", "task"} {
		var o map[string]json.RawMessage
		_ = json.Unmarshal(at, &o) // what is no object has no members
		if at = o[below]; at == nil {
			break
		}
		path += below + "."
		var inner map[string]json.RawMessage
		if _ = json.Unmarshal(at, &inner); inner[name] != nil {
			return path + name
		}
	}
	return name
}

// unlessTooLarge is an error of reading what a caller sends: its own, but for the bound.
func unlessTooLarge(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return problem{Status: http.StatusBadRequest, Code: "malformed", Detail: "the body ended early, or came too slowly"}
}
