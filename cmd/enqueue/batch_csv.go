package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

// A sheet is what the header of a CSV file says.
type sheet struct {
	columns []column
}

// A column is where the cells below a name go.
type column struct {
	name  string
	path  string                // as the line's JSON has it: "id", "body.style.prompt"; empty if the column is left out
	steps []step                // of the path, below "body" or "options"
	types map[string]*fieldType // by operation; only those that have the field
}

// A fieldType is what a field takes.
type fieldType struct{ text, number, boolean bool }

// A cellError says what is wrong with one cell.
type cellError struct{ column, path, message string }

func (e *cellError) Error() string { return "column " + e.column + ": " + e.message }

// eachRow reads CSV. A header that can't be read ends it.
func (f *form) eachRow(r io.Reader, do func(row) error) error {
	bounded := &boundedReader{from: bufio.NewReader(r)}
	if mark, _ := bounded.from.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = bounded.from.Discard(len(byteOrderMark))
	}
	rows := csv.NewReader(bounded)
	rows.Comma, rows.FieldsPerRecord = f.delimiter, -1
	for header := true; ; header = false {
		bounded.left = longestLine
		cells, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var wrong *csv.ParseError
		var number int
		switch {
		case errors.Is(err, errTooLong):
			number, _ = rows.FieldPos(0)
			return do(row{number: number, refused: f.refuse(number, tooLong())})
		case errors.As(err, &wrong):
			why := fmt.Errorf("not CSV: character %d of line %d: %w; the lines after it were not read", wrong.Column, wrong.Line, wrong.Err)
			return do(row{number: wrong.StartLine, refused: f.refuse(wrong.StartLine, why)})
		case err != nil:
			return err
		}
		if number, _ = rows.FieldPos(0); header {
			refused, err := f.readHeader(number, cells)
			if err != nil {
				return err
			}
			if refused != nil {
				return do(row{number: number, refused: refused})
			}
			continue
		}
		if !slices.ContainsFunc(cells, func(cell string) bool { return cell != "" }) {
			continue
		}
		if err := do(row{number: number, cells: cells}); err != nil {
			return err
		}
	}
}

// A boundedReader ends where a row is too long: one with an open quote would swallow the rest of the file.
type boundedReader struct {
	from *bufio.Reader
	left int
}

var errTooLong = errors.New("too long")

func (b *boundedReader) Read(into []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.from.Read(into)
	b.left -= n
	return n, err
}

// readHeader finds out what the columns are.
func (f *form) readHeader(number int, names []string) (*refusal, error) {
	refused := &refusal{line: number}
	taken := map[string]string{}
	mapped := map[string]bool{}
	for i, name := range names {
		name = strings.TrimSpace(name)
		c := column{name: name}
		path := name
		if name == "" {
			refused.problems = append(refused.problems, problem{Line: number, Column: fmt.Sprint(i + 1), Message: "has no name; give it one"})
		}
		for _, m := range f.maps {
			if m.column == name {
				path, mapped[name] = m.path, true
			}
		}
		if path != "" {
			err := c.lead(path, f.operation, slices.Contains(names, "operation") || f.mapsTo("operation"))
			if other := taken[c.path]; err == nil && other != "" {
				err = fmt.Errorf("leads to %s, as column %s does: leave one out with --map '%s='", path, other, name)
			} else if other := meets(taken, c.path); err == nil && other != "" {
				err = fmt.Errorf("leads to %s, into or around where column %s leads: leave one out with --map '%s='", path, other, name)
			}
			if err != nil {
				refused.problems = append(refused.problems, problem{Line: number, Column: name, Message: err.Error()})
			}
			taken[c.path] = name
		}
		f.sheet.columns = append(f.sheet.columns, c)
	}
	for _, m := range f.maps {
		if !mapped[m.column] {
			return nil, settings.Usage("--map '%s=%s': the file has no such column, but %s", m.column, m.path, strings.Join(names, ", "))
		}
	}
	if len(refused.problems) == 0 {
		return nil, nil //nolint:nilnil // nothing is wrong with it
	}
	refused.text = inColumns(refused.problems)
	return refused, nil
}

// meets is the column whose cells would be written over by those of this path, or would write over them.
func meets(taken map[string]string, path string) string {
	for other, column := range taken {
		above, below := other, path
		if len(above) > len(below) {
			above, below = below, above
		}
		if strings.HasPrefix(below, above+".") || strings.HasPrefix(below, above+"[") {
			return column
		}
	}
	return ""
}

func (f *form) mapsTo(path string) bool {
	return slices.ContainsFunc(f.maps, func(m mapping) bool { return m.path == path })
}

// optionPaths are the options that a column can lead to; those that end in a dot, to any name below.
var optionPaths = []string{"overwrite", "priority", "tenant", "give_up", "key_prefix", "keep_remote", "metadata.", "notify.url", "notify.stream", "notify.task.queue", "notify.task.type"}

// lead finds out where a path leads. In a file with a column of operations it may be to a field of any.
func (c *column) lead(path, operation string, any bool) error {
	if c.path = path; path == "id" || path == "operation" {
		return nil
	}
	if below, isOption := strings.CutPrefix(path, "options."); isOption {
		name, isMetadata := strings.CutPrefix(below, "metadata.")
		switch {
		case isMetadata && name != "":
			c.steps = []step{{name: "metadata"}, {name: name}}
			return nil
		case !isMetadata && slices.Contains(optionPaths, below):
			for name := range strings.SplitSeq(below, ".") {
				c.steps = append(c.steps, step{name: name})
			}
			return nil
		}
		return fmt.Errorf("%s is no option: want options.%s", path, strings.Join(optionPaths, ", options."))
	}
	c.path = "body." + path
	var err error
	if c.steps, err = parsePath(path); err == nil {
		c.types = map[string]*fieldType{}
		for _, op := range operations.All() {
			if t := typeAt(op, c.steps); t != nil && (any || operation == "" || op.Name == operation) {
				c.types[op.Name] = t
			}
		}
	}
	if err == nil && len(c.types) > 0 {
		return nil
	}
	of := "any operation"
	if operation != "" && !any {
		of = operation
	}
	return fmt.Errorf("leads to no field of %s: name one with --map '%s=style.prompt', or leave the column out with --map '%s='", of, c.name, c.name)
}

// typeAt is what an operation takes at a path; nil if it has no such field.
func typeAt(op operations.Operation, path []step) *fieldType {
	type node struct {
		Type       any                        `json:"type"`
		Properties map[string]json.RawMessage `json:"properties"`
		Items      json.RawMessage            `json:"items"`
	}
	schema := op.Schema()
	var at node
	for i := 0; ; i++ {
		if at = (node{}); json.Unmarshal(schema, &at) != nil {
			return nil
		}
		if i == len(path) {
			break
		}
		if schema = at.Items; path[i].name != "" {
			schema = at.Properties[path[i].name]
		}
		if schema == nil {
			return nil
		}
	}
	types, isList := at.Type.([]any)
	if !isList {
		types = []any{at.Type}
	}
	has := func(name string) bool { return slices.Contains(types, any(name)) }
	return &fieldType{has("string"), has("number") || has("integer"), has("boolean")}
}

// value reads a cell. What is not of the field's type stays text: the check of the request says what it must be.
func (t *fieldType) value(cell string) any {
	trimmed := strings.TrimSpace(cell)
	var v any
	switch {
	case t.text:
		return cell
	case t.boolean && strings.EqualFold(trimmed, "true"): // TRUE is how spreadsheets write it
		return true
	case t.boolean && strings.EqualFold(trimmed, "false"):
		return false
	case decode([]byte(trimmed), &v) != nil:
		return cell
	}
	return v // a number, or JSON where a list or an object belongs
}

// line makes a line of a row; named says that those without an id are given one that stays.
func (s *sheet) line(cells []string, operation string, named bool) (l line, err error) {
	if len(cells) != len(s.columns) {
		return l, fmt.Errorf("has %s, but the header has %d: put a cell that holds a delimiter, a quote or a line break into quotes", plural(len(cells), "cell"), len(s.columns))
	}
	for i, c := range s.columns {
		switch {
		case !utf8.ValidString(cells[i]):
			return l, &cellError{c.name, c.path, errEncoding.Error()}
		case c.path == "id" && cells[i] == "" && !named:
			return l, &cellError{c.name, c.path, "is empty, and the row would be a new job each time: give it an id, or all that have none by --id-prefix"}
		case c.path == "id":
			l.ID = cells[i]
		case c.path == "operation" && cells[i] != "":
			operation = strings.TrimSpace(cells[i])
		}
	}
	l.Operation = operation
	var body, options any = map[string]any{}, nil
	for i, c := range s.columns {
		if cells[i] == "" || c.steps == nil {
			continue
		}
		if c.types == nil {
			options, err = put(options, c.steps, optionValue(c.path, cells[i]))
		} else if t := c.types[operation]; t != nil {
			body, err = put(body, c.steps, t.value(cells[i]))
		} else if _, known := operations.Lookup(operation); known {
			err = fmt.Errorf("%s has no such field: leave the cell empty", operation)
		}
		if err != nil {
			return l, &cellError{c.name, c.path, err.Error()}
		}
	}
	if l.Body, err = json.Marshal(body); err != nil || options == nil {
		return l, err
	}
	text, err := json.Marshal(options)
	if err != nil {
		return l, err
	}
	return l, readOptions(text, &l.Options)
}

func optionValue(path, cell string) any {
	if path == "options.overwrite" || path == "options.keep_remote" {
		return (&fieldType{boolean: true}).value(cell)
	}
	return cell
}

// columnOf is the name of the column whose cells a path leads to, or else of the first one below it; empty if there is
// none.
func (s *sheet) columnOf(path string) string {
	for _, c := range s.columns {
		if c.path == path {
			return c.name
		}
	}
	for _, c := range s.columns {
		if strings.HasPrefix(c.path, path+".") {
			return c.name
		}
	}
	return ""
}
