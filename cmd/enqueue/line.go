package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

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

// An entry is a line that was checked.
type entry struct {
	number int             // of the line, from 1
	job    *tasks.Job      // with an id, made if the line has none
	named  bool            // whether the id is the caller's
	given  json.RawMessage // the body with the names of local files; nil if there are none
}

func (e entry) request() tasks.Request { return lineOf(e.job).request() }

// A batch is what was read of all lines.
type batch struct {
	entries  []entry
	problems []string         // of bad lines, with their numbers
	warnings map[string][]int // the lines that each is about
	local    files
}

// longestLine bounds a job: it is kept in Redis several times.
const longestLine = 1 << 20

// readBatch checks every line. The error is one of reading; bad lines are among the problems.
func readBatch(r io.Reader) (*batch, error) {
	b := &batch{warnings: map[string][]int{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	number := 0
	for lines.Scan() {
		number++
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if text != "" {
			b.add(number, text)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		b.refuse(number+1, fmt.Errorf("longer than %d bytes; the lines after it were not read", longestLine))
		return b, nil
	}
	b.checkTwins()
	return b, lines.Err()
}

func (b *batch) refuse(number int, why error) {
	b.problems = append(b.problems, fmt.Sprintf("line %d: %s", number, strings.TrimPrefix(why.Error(), tasks.ErrInvalid.Error()+": ")))
}

func (b *batch) warn(number int, text string) {
	b.warnings[text] = append(b.warnings[text], number)
}

// add checks one line.
func (b *batch) add(number int, text string) {
	var fields map[string]json.RawMessage
	if err := decode([]byte(text), &fields); err != nil || fields == nil {
		b.refuse(number, fmt.Errorf(`want one JSON object such as {"id":"clip-1","operation":"text-to-video","body":{...}}%s`, syntax(err)))
		return
	}
	l := line{Body: fields["body"]}
	// Each by its exact name, unlike a struct, which would also take "ID".
	err := errors.Join(
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
	if err != nil {
		b.refuse(number, err)
		return
	}
	given := l.Body
	body, named, wrong := b.local.standIn(l.Operation, given)
	if l.Body = body; !named {
		given = nil
	}
	job, err := tasks.NewJob(l.request(), time.Now())
	if err := errors.Join(wrong, err); err != nil {
		b.refuse(number, err)
		return
	}
	b.entries = append(b.entries, entry{number, job, l.ID != "", given})
	for _, warning := range job.Warnings {
		b.warn(number, "body: "+warning)
	}
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

// standIn puts what is known of local files by now into the requests that name them.
func (b *batch) standIn() error {
	for _, e := range b.entries {
		if e.given == nil {
			continue
		}
		body, _, err := b.local.standIn(e.job.Operation, e.given)
		if err == nil {
			e.job.Body, err = tasks.Canonical(body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTwins refuses an id that stands in several lines with different requests. The same line
// twice is one job.
func (b *batch) checkTwins() {
	first := map[string]entry{}
	b.entries = slices.DeleteFunc(b.entries, func(e entry) bool {
		twin, taken := first[e.job.ID]
		switch {
		case !taken:
			first[e.job.ID] = e
		case !twin.job.Same(e.job):
			b.refuse(e.number, fmt.Errorf("id %s: stands in line %d with a different request", e.job.ID, twin.number))
		default:
			b.warn(e.number, "the same as an earlier line: one job")
		}
		return taken
	})
}
