package main

import (
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/seed-290c2414/hourglass/tasks"
)

// jobBars are the bars of jobs that somebody waits for: one for each, as far as they fit on the screen. Where one
// settles, the next takes its place.
type jobBars struct {
	screen   *screen
	progress *progress

	mu    sync.Mutex
	shown map[string]*mpb.Bar
	room  int
}

func newJobBars(s *screen, p *progress) *jobBars {
	_, lines := sizeOf(s.terminal)
	return &jobBars{screen: s, progress: p, shown: map[string]*mpb.Bar{}, room: max(1, lines-2)} // the summary, and the cursor
}

// see shows a job if there is room.
func (b *jobBars) see(job *tasks.Job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown[job.ID] != nil || len(b.shown) >= b.room {
		return
	}
	id := job.ID
	bar := b.screen.add(byAge(func() int64 {
		if now := b.progress.job(id); now != nil { // it may be gone, and the bar about to go
			return int64(now.Progress(time.Now()))
		}
		return 0
	}),
		mpb.BarWidth(barWidth),
		mpb.PrependDecorators(decor.Name(oneLine(id, longestName)+"  "+job.Operation, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(words(func() string { return stands(b.progress.job(id), time.Now()) })))
	if bar != nil {
		b.shown[id] = bar
	}
}

// settle takes a bar away.
func (b *jobBars) settle(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bar := b.shown[id]; bar != nil {
		bar.Abort(true)
		delete(b.shown, id)
	}
}

const (
	barWidth    = 22 // columns
	longestName = 36 // characters: as long as a UUID
)

// byAge is a bar whose length out of 100 is asked for whenever it is drawn.
func byAge(progress func() int64) mpb.BarFillerBuilder {
	return filled(func(stat decor.Statistics) decor.Statistics {
		stat.Current, stat.Total = progress(), 100
		return stat
	})
}

// filled changes what a bar is drawn by.
type filled func(decor.Statistics) decor.Statistics

// Build implements mpb.BarFillerBuilder.
func (f filled) Build() mpb.BarFiller {
	bar := mpb.BarStyle().Build()
	return mpb.BarFillerFunc(func(w io.Writer, stat decor.Statistics) error { return bar.Fill(w, f(stat)) })
}
