package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A pseudo is a terminal that nobody looks at.
type pseudo struct {
	file  *os.File // what a program writes to
	mu    sync.Mutex
	shown bytes.Buffer
	ended chan struct{}
}

// newTerminal makes a terminal of a size.
func newTerminal(t *testing.T, columns, lines uint16) *pseudo {
	t.Helper()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	p := &pseudo{ended: make(chan struct{})}
	if p.file, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: lines}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_, _ = io.Copy(p, master) // until the other side is closed
		_ = master.Close()
	}()
	t.Cleanup(func() { _ = p.file.Close(); <-p.ended })
	return p
}

// Write takes in what is shown.
func (p *pseudo) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.Write(text)
}

func (p *pseudo) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// all is what was shown when nothing more can come.
func (p *pseudo) all() string {
	_ = p.file.Close()
	<-p.ended
	return p.text()
}

// until waits until a condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(10 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// seen waits until the terminal has shown all of some texts.
func (p *pseudo) seen(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		until(t, text, func() bool { return strings.Contains(p.text(), text) })
	}
}
