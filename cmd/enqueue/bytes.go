package main

import (
	"fmt"
	"io"
	"path"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bytesShown shows on a terminal how far files are that are fetched.
type bytesShown struct {
	screen *screen
	all    atomic.Int64 // bytes so far
	files  atomic.Int64 // that are through
}

func newBytesShown(stderr io.Writer, plain bool) *bytesShown {
	b := &bytesShown{}
	b.screen = openScreen(stderr, plain, func() string {
		return fmt.Sprintf("%s fetched, %.1f MB", plural(int(b.files.Load()), "file"), float64(b.all.Load())/1e6)
	})
	return b
}

// file shows a file, whose bytes are to be written to what it returns as they come.
func (b *bytesShown) file(w wantedFile) (counted io.Writer, done func()) {
	if b.screen.bars == nil {
		return io.Discard, func() {}
	}
	var n atomic.Int64
	bar := b.screen.add(filled(func(stat decor.Statistics) decor.Statistics {
		stat.Current, stat.Total = n.Load(), max(1, w.Size)
		return stat
	}), mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Name(oneLine(w.Job, longestName)+"  "+path.Base(w.Key), decor.WCSyncSpaceR)),
		mpb.AppendDecorators(words(func() string { return fmt.Sprintf("%.1f of %.1f MB", float64(n.Load())/1e6, float64(w.Size)/1e6) })))
	return counter{&n, &b.all}, func() {
		b.files.Add(1)
		if bar != nil {
			bar.Abort(true)
		}
	}
}

// A counter counts the bytes that are written to it.
type counter []*atomic.Int64

func (c counter) Write(p []byte) (int, error) {
	for _, n := range c {
		n.Add(int64(len(p)))
	}
	return len(p), nil
}
