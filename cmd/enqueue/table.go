package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A table is columns of text, each as wide as its widest cell. On a terminal the last one is cut where a line ends.
type table struct {
	rows     [][]string
	columns  int // of the terminal; 0: none
	coloured bool
}

func newTable(w io.Writer) *table {
	t := &table{coloured: coloured(w)}
	if terminal := terminalOf(w); terminal != nil {
		t.columns, _ = sizeOf(terminal)
	}
	return t
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

const between = "  "

// write writes the table, with the states of jobs in colours if w takes them.
func (t *table) write(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range t.rows {
		line, at := "", 0
		for i, cell := range row {
			if i == len(row)-1 {
				if t.columns > 0 {
					cell = oneLine(cell, max(0, t.columns-at))
				}
				line += cell
				break
			}
			line += t.colour(cell) + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + between
			at += widths[i] + len(between)
		}
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// colour is a cell that is a state in the colour of whether somebody has to look.
func (t *table) colour(cell string) string {
	if !t.coloured {
		return cell
	}
	const red, green, yellow = 31, 32, 33
	code := 0
	switch tasks.State(cell) {
	case tasks.Done:
		code = green
	case tasks.Failed:
		code = red
	case tasks.Unknown:
		code = yellow
	case tasks.Pending, tasks.Creating, tasks.Rendering, tasks.Storing, tasks.Cleaning, tasks.Canceled:
	}
	if code == 0 {
		return cell
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, cell)
}
