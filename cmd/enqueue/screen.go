package main

import (
	"cmp"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// terminalOf returns the terminal that a writer is, or nil.
func terminalOf(w io.Writer) *os.File {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// movable returns the terminal that a writer is if its cursor can be moved, or nil.
func movable(w io.Writer) *os.File {
	if os.Getenv("TERM") == "dumb" {
		return nil
	}
	return terminalOf(w)
}

// coloured reports whether a writer is shown in colours: see https://no-color.org.
func coloured(w io.Writer) bool { return movable(w) != nil && os.Getenv("NO_COLOR") == "" }

// sizeOf is how many columns and lines a terminal has; without one, or of one that does not say, those of a common one.
func sizeOf(terminal *os.File) (columns, lines int) {
	if terminal != nil {
		columns, lines, _ = term.GetSize(int(terminal.Fd()))
	}
	return cmp.Or(columns, 80), cmp.Or(lines, 24)
}

// A screen is a terminal for people, on stderr, whose last lines are bars. The zero screen has none.
type screen struct {
	terminal *os.File
	bars     *mpb.Progress // nil if there are none
	last     *mpb.Bar      // below all others, until the end: what is written above bars is lost once there are none
}

// openScreen returns a screen on stderr, which has bars if stderr is a terminal that can show them. Its last line is what
// summary says.
func openScreen(stderr io.Writer, plain bool, summary func() string) *screen {
	s := &screen{terminal: movable(stderr)}
	if s.terminal == nil || plain {
		return &screen{}
	}
	s.bars = mpb.New(mpb.WithOutput(s.terminal))
	s.last = s.add(mpb.NopStyle(), mpb.BarPriority(lowest), mpb.PrependDecorators(words(summary)))
	return s
}

const lowest = 1 << 30

// add adds a bar, or returns nil if the terminal is gone.
func (s *screen) add(style mpb.BarFillerBuilder, options ...mpb.BarOption) *mpb.Bar {
	bar, err := s.bars.Add(0, style.Build(), options...)
	if err != nil {
		return nil
	}
	return bar
}

// words is a part of a bar that is asked for whenever it is drawn.
func words(say func() string) decor.Decorator {
	return decor.Any(func(decor.Statistics) string { return say() })
}

// to is what to write to in the place of w, in whole lines, so that bars are not torn: what is the same terminal is
// written to above the bars.
func (s *screen) to(w io.Writer) io.Writer {
	file, ok := w.(*os.File)
	if s.bars == nil || !ok {
		return w
	}
	here, err := s.terminal.Stat()
	there, wrong := file.Stat()
	if err != nil || wrong != nil || !os.SameFile(here, there) {
		return w
	}
	return aboveBars{s.bars, w}
}

type aboveBars struct {
	bars *mpb.Progress
	w    io.Writer
}

func (a aboveBars) Write(text []byte) (int, error) {
	n, err := a.bars.Write(text)
	if err != nil { // no bars are shown any more: the terminal is gone, or does not say its size
		return a.w.Write(text)
	}
	return n, err
}

// close takes the bars away.
func (s *screen) close() {
	if s.bars == nil {
		return
	}
	if s.last != nil {
		s.last.Abort(true)
	}
	s.bars.Wait()
}
