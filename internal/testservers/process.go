package testservers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	attempts   = 5 // at a free port, which another process may take first
	startLimit = 20 * time.Second
	pollEvery  = 10 * time.Millisecond
)

// process is a server that runs.
type process struct {
	cmd    *exec.Cmd
	output *lockedBuffer
	exited chan struct{} // closed when it has ended
}

// serve starts a server on a free port and returns its address once ready says so. ready
// must be able to tell this server from another one that took the port.
func serve(t testing.TB, path string, args func(port string) []string, ready func(ctx context.Context, addr string, pid int) error) (string, *process) {
	t.Helper()
	var problems []error
	for range attempts {
		port, err := freePort(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := start(path, args(port)...)
		if err != nil {
			t.Fatal(err)
		}
		addr := net.JoinHostPort("127.0.0.1", port)
		if err = p.wait(t.Context(), addr, ready); err == nil {
			t.Cleanup(p.kill)
			return addr, p
		}
		p.kill()
		problems = append(problems, err)
	}
	t.Fatalf("start %s: %v", path, errors.Join(problems...))
	return "", nil
}

// freePort is free now. Only the server itself can make sure that it still is: see serve.
func freePort(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}

// start runs the server from a thread of its own that lives as long as the server: the
// kernel kills the server when the thread that started it dies, not when the program does.
func start(path string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), output: new(lockedBuffer), exited: make(chan struct{})} //nolint:gosec,noctx // a test's own server, ended by kill
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	dieWithParent(p.cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // killed, as a rule
		}
	}()
	return p, <-started
}

// wait asks until the server is ready, has ended, or had enough time.
func (p *process) wait(ctx context.Context, addr string, ready func(context.Context, string, int) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ready(ctx, addr, p.cmd.Process.Pid)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("ended at once: %s", p.output)
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v: %w: %s", startLimit, err, p.output)
		case <-tick.C:
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// lockedBuffer is what a server printed, for the message of a test that fails.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
