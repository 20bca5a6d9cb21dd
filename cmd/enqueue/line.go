package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A line is one job of a batch. It is also what a dry run prints, so that the one can be given to
// the other.
type line struct {
	ID        string          `json:"id"`
	Operation string          `json:"operation"`
	Body      json.RawMessage `json:"body"`
	Options   tasks.Options   `json:"options,omitzero"`
}

func lineOf(job *tasks.Job) line {
	return line{job.ID, job.Operation, job.Body, job.Options}
}

func (l line) request() tasks.Request {
	return tasks.Request{ID: l.ID, Operation: l.Operation, Body: l.Body, Options: l.Options}
}

// write prints the line as it can be read again.
func (l line) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(l)
}

// longestLine bounds a job: it is kept in Redis several times.
const longestLine = 1 << 20

// readLine reads one line of JSON.
func readLine(text []byte) (line, error) {
	var fields map[string]json.RawMessage
	var err error
	if !utf8.Valid(text) {
		err = errEncoding
	} else if json.Unmarshal(text, &fields) != nil { // faster than decode, which knows what is wrong
		err = decode(text, &fields)
	}
	if err != nil || fields == nil {
		return line{}, fmt.Errorf(`want one JSON object such as {"id":"clip-1","operation":"text-to-video","body":{...}}%s`, syntax(err))
	}
	l := line{Body: fields["body"]}
	// Each by its exact name, unlike a struct, which would also take "ID".
	err = errors.Join(
		read(fields, "", "id", &l.ID), read(fields, "", "operation", &l.Operation),
		readOptions(fields["options"], &l.Options),
	)
	if err == nil {
		// Without its id, a line would be bought again each time: no misspelt field is passed over.
		err = unknown(fields, "", "id", "operation", "body", "options")
	}
	if err == nil && fields["id"] != nil && l.ID == "" {
		err = errors.New("id: must not be empty; leave it out to have one made")
	}
	return l, err
}

// read reads a field, if it is there.
func read(fields map[string]json.RawMessage, path, name string, into any) error {
	text, given := fields[name]
	if !given || json.Unmarshal(text, into) == nil {
		return nil
	}
	want := map[reflect.Kind]string{reflect.String: "a string", reflect.Bool: "true or false", reflect.Map: "an object", reflect.Int64: "a duration such as \"36h\""}
	must := want[reflect.TypeOf(into).Elem().Kind()]
	if reflect.TypeOf(into) == reflect.TypeFor[*map[string]string]() {
		must += " of strings"
	}
	return fmt.Errorf("%s%s: must be %s", path, name, must)
}

// unknown refuses fields other than those known.
func unknown(fields map[string]json.RawMessage, path string, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%s%s: unknown field: want %s", path, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// syntax says what is wrong with text that is no JSON; nothing, if it is JSON but no object.
func syntax(err error) string {
	var wrong *json.UnmarshalTypeError
	if err == nil || errors.As(err, &wrong) {
		return ""
	}
	return ": " + err.Error()
}
