package deploy

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 30 * time.Second // for anything that is waited for
	attempts = 5                // at a free port
)

// A process stands for a container.
type process struct {
	t      *testing.T
	name   string
	exited chan struct{} // closed when it has ended

	mu     sync.Mutex
	output bytes.Buffer
}

// start runs a program until the test ends, with an environment of its own and nothing else.
func start(t *testing.T, name string, environ []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, exited: make(chan struct{})}
	cmd := exec.CommandContext(context.Background(), path, args...) //nolint:gosec,usetesting // ended below, when the test has ended
	cmd.Env, cmd.Dir = environ, t.TempDir()
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	go func() {
		_ = cmd.Wait() // killed, as a rule
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.text())
		}
	})
	return p
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// line waits for a line that holds the text. It is empty where the process ended before.
func (p *process) line(text string) string {
	p.t.Helper()
	var found string
	p.until("writes "+text, func() bool {
		for line := range strings.Lines(p.text()) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				found = line
			}
		}
		return found != ""
	})
	return found
}

// until waits for a condition, and tells whether it holds: not if the process ended before.
func (p *process) until(what string, holds func() bool) bool {
	p.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-p.exited:
			return false
		case <-limit:
			p.t.Fatalf("%s: not within %v: %s", p.name, patience, what)
		case <-tick.C:
		}
	}
	return true
}

// freePort is free now. Another process may take it first, so whoever uses it tries again.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
