package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mostProblems is how many bad lines, and how many different warnings, are told of. Who has more has one mistake in
// all of them.
const mostProblems = 50

// say writes for people, or one JSON object in each line.
type say struct {
	stderr io.Writer
	asJSON bool
}

func (s say) line(format string, args ...any) {
	_, _ = fmt.Fprintf(s.stderr, format+"\n", args...)
}

func (s say) object(v any) {
	to := json.NewEncoder(s.stderr)
	to.SetEscapeHTML(false)
	_ = to.Encode(v)
}

// A warning is said once: a batch often has the same one in every line.
type warning struct {
	Line  int    `json:"line"` // the first that it is about
	Text  string `json:"warning"`
	Lines int    `json:"lines"` // how many it is about
}

func (b *batch) warn(number int, text string) {
	w := b.warnings[text]
	switch {
	case w != nil:
		w.Lines++
	case len(b.warnings) == mostProblems:
		b.dropped++
	default:
		b.warnings[text] = &warning{number, text, 1}
	}
}

func (b *batch) printWarnings() {
	for _, w := range slices.SortedFunc(maps.Values(b.warnings), func(a, b *warning) int { return strings.Compare(a.Text, b.Text) }) {
		switch {
		case b.say.asJSON:
			b.say.object(w)
		case w.Lines > 1:
			b.say.line("warning: line %d (and %d more lines): %s", w.Line, w.Lines-1, w.Text)
		default:
			b.say.line("warning: line %d: %s", w.Line, w.Text)
		}
	}
	if b.dropped > 0 {
		b.more(b.dropped, "warnings")
	}
}

// printProblems lists the first bad lines.
func (b *batch) printProblems() {
	slices.SortStableFunc(b.problems, func(a, b refusal) int { return cmp.Compare(a.line, b.line) })
	for _, r := range b.problems {
		if !b.say.asJSON {
			b.say.line("line %d: %s", r.line, r.text)
			continue
		}
		for _, p := range r.problems {
			b.say.object(p)
		}
	}
	if more := b.bad - len(b.problems); more > 0 {
		b.more(more, "lines")
	}
}

func (b *batch) more(n int, what string) {
	if b.say.asJSON {
		b.say.object(map[string]any{"more": n, "of": what})
		return
	}
	b.say.line("and %d more %s", n, what)
}

// report says what a batch would do.
func (b *batch) report() {
	if b.say.asJSON {
		b.say.object(map[string]any{"jobs": b.spool.lines, "refused": b.bad, "operations": b.operations})
		return
	}
	b.say.line("%s good, %d refused", plural(b.spool.lines, "line"), b.bad)
	for _, name := range slices.Sorted(maps.Keys(b.operations)) {
		b.say.line("%8d %s", b.operations[name], name)
	}
}

// A count is how far something has come.
type count struct {
	n    atomic.Int64
	what atomic.Pointer[phase]
}

// A phase is what is counted at a time.
type phase struct {
	verb  string
	of    int // 0: not known
	began time.Time
}

func (c *count) begin(verb string, of int) {
	c.n.Store(0)
	c.what.Store(&phase{verb, of, time.Now()})
}

func (c *count) add(n int) { c.n.Add(int64(n)) }

// say is how far it has come, in a line.
func (c *count) say(now time.Time) string {
	p, n := c.what.Load(), c.n.Load()
	if p == nil || n == 0 {
		return ""
	}
	of := ""
	if p.of > 0 {
		of = fmt.Sprintf(" of %d", p.of)
	}
	rate := float64(n) / max(now.Sub(p.began).Seconds(), 0.001)
	return fmt.Sprintf("%s %d%s, %.0f a second", p.verb, n, of, rate)
}

const redrawEvery = 200 * time.Millisecond

// tell says how far it has come until it is stopped: at one place of a terminal, else in a line every ten seconds.
func (c *count) tell(ctx context.Context, w io.Writer) (stop func()) {
	every, before, after := tellEvery, "", "\n"
	if onTerminal(w) {
		const start, clear = "\r", "\x1b[K"
		every, before, after = redrawEvery, start, clear
	}
	ctx, cancel := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		drawn := false
		for {
			select {
			case <-ctx.Done():
				if drawn && before != "" {
					_, _ = fmt.Fprint(w, before+after)
				}
				return
			case <-tick.C:
				if line := c.say(time.Now()); line != "" {
					drawn = true
					_, _ = fmt.Fprint(w, before+line+after)
				}
			}
		}
	})
	return func() { cancel(); told.Wait() }
}

// onTerminal reports whether lines can be redrawn.
func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
