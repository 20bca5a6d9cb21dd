package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A form says how the rows of a file are read.
type form struct {
	csv       bool
	delimiter rune
	maps      []mapping
	sheet     sheet // of CSV, once its header is read

	operation string // of rows that name none
	idPrefix  string // of the ids of rows that have none; empty: they are made
	defaults  any    // the body that those of the rows are laid over; nil if there is none
}

// A mapping says which path the cells of a column are for. An empty path is none.
type mapping struct{ column, path string }

func formFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "csv", Usage: "read CSV; so is a file whose name ends in .csv"},
		&cli.StringFlag{Name: "delimiter", Value: ",", Usage: "what stands between the cells of CSV: a `CHARACTER`, or tab"},
		&cli.StringSliceFlag{Name: "map", Usage: "read a column of CSV as another one, `COLUMN=PATH`, or leave it out, COLUMN="},
		&cli.StringFlag{Name: "operation", Usage: "the operation of lines that name none, a `NAME`"},
		&cli.StringSliceFlag{Name: "set", Usage: "set a field of the body of lines that have none there, `PATH=VALUE`, as with submit"},
		&cli.StringFlag{Name: "id-prefix", Usage: "give the 7th job, if it has no id, the id `PREFIX`-7, so that the same file can be submitted again; another file needs another prefix"},
	}
}

// formOf reads formFlags.
func formOf(c *cli.Command, file string) (form, error) {
	f := form{csv: c.Bool("csv") || strings.HasSuffix(strings.ToLower(file), ".csv"), operation: c.String("operation"), idPrefix: c.String("id-prefix")}
	if _, known := operations.Lookup(f.operation); f.operation != "" && !known {
		return f, settings.Usage("--operation: %s", operations.Unknown(f.operation))
	}
	if c.IsSet("id-prefix") {
		if err := tasks.CheckID(f.idPrefix); err != nil {
			return f, settings.Usage("--id-prefix: %w", err)
		}
	}
	if sets := c.StringSlice("set"); len(sets) > 0 {
		body, err := setFields([]byte("{}"), sets)
		if err != nil {
			return f, err
		}
		if err := decode(body, &f.defaults); err != nil {
			return f, err
		}
	}
	return f, f.readSheetFlags(c)
}

func (f *form) readSheetFlags(c *cli.Command) error {
	if !f.csv && (c.IsSet("map") || c.IsSet("delimiter")) {
		return settings.Usage("--map and --delimiter are for CSV: name the file *.csv, or add --csv")
	}
	delimiter := c.String("delimiter")
	if delimiter == "tab" || delimiter == `\t` {
		delimiter = "\t"
	}
	var size int
	f.delimiter, size = utf8.DecodeRuneInString(delimiter)
	if size != len(delimiter) || size == 0 || f.delimiter == utf8.RuneError || strings.ContainsRune("\"\r\n", f.delimiter) {
		return settings.Usage("--delimiter %q: want one character, or tab", delimiter)
	}
	for _, text := range c.StringSlice("map") {
		at := strings.LastIndexByte(text, '=') // a path has none
		if at < 1 {
			return settings.Usage("--map %q: want COLUMN=PATH, such as Prompt=style.prompt, or COLUMN= to leave it out", text)
		}
		f.maps = append(f.maps, mapping{text[:at], text[at+1:]})
	}
	return nil
}

// line reads a row.
func (f *form) line(r row) (l line, err error) {
	if f.csv {
		l, err = f.sheet.line(r.cells, f.operation, f.idPrefix != "")
	} else {
		l, err = readLine(r.text)
	}
	if err != nil {
		return l, err
	}
	if l.Operation == "" {
		l.Operation = f.operation
	}
	if f.defaults == nil {
		return l, nil
	}
	var body any
	if l.Body != nil {
		if err := decode(l.Body, &body); err != nil {
			return l, fmt.Errorf("body: %w", err)
		}
	}
	l.Body, err = json.Marshal(over(f.defaults, body))
	return l, err
}

// over lays a value over defaults, field by field. It changes neither: many rows have the same defaults.
func over(defaults, value any) any {
	below, isObject := defaults.(map[string]any)
	if value == nil && isObject {
		return defaults
	}
	above, both := value.(map[string]any)
	if !both || !isObject {
		return value
	}
	laid := make(map[string]any, len(below)+len(above))
	for name, v := range below {
		laid[name] = v
	}
	for name, v := range above {
		if d, found := below[name]; found {
			v = over(d, v)
		}
		laid[name] = v
	}
	return laid
}

// A refusal is a line that can't be accepted.
type refusal struct {
	line     int
	text     string // what is wrong, in one line
	problems []problem
}

// A problem is one thing that is wrong with a line, as --json prints it.
type problem struct {
	Line    int    `json:"line"`
	Column  string `json:"column,omitempty"` // of CSV
	Path    string `json:"path,omitempty"`   // of the field in the line's JSON, as in body.style.prompt
	Message string `json:"message"`
}

// refuse takes an error apart, and says in which column of CSV each problem is.
func (f *form) refuse(number int, why error) *refusal {
	r := &refusal{line: number, text: strings.TrimPrefix(why.Error(), tasks.ErrInvalid.Error()+": ")}
	var cell *cellError
	var invalid *tasks.InvalidError
	switch {
	case errors.As(why, &cell):
		r.text = cell.Error()
		r.problems = []problem{{number, cell.column, cell.path, cell.message}}
	case errors.As(why, &invalid):
		for _, p := range invalid.Problems {
			r.problems = append(r.problems, problem{number, f.sheet.columnOf(p.Path), p.Path, p.Message})
		}
		if f.csv {
			r.text = inColumns(r.problems)
		}
	default:
		r.problems = []problem{{Line: number, Message: r.text}}
	}
	return r
}

// inColumns says what is wrong with a row of CSV.
func inColumns(problems []problem) string {
	texts := make([]string, len(problems))
	for i, p := range problems {
		field := strings.TrimPrefix(p.Path, "body.")
		switch {
		case p.Column == "":
			texts[i] = field + ": " + p.Message
		case field == "" || field == p.Column:
			texts[i] = fmt.Sprintf("column %s: %s", p.Column, p.Message)
		default:
			texts[i] = fmt.Sprintf("column %s (%s): %s", p.Column, field, p.Message)
		}
	}
	return strings.Join(texts, "; ")
}
