package e2e

import (
	"context"
	"net"
	"sync"
	"testing"
)

// A wire is an address whose connections go to a server that can be changed, or to none. What
// stood before it is cut at every change.
type wire struct {
	t    *testing.T
	addr string

	mu       sync.Mutex
	target   string
	listener net.Listener
	conns    map[net.Conn]bool
	closed   bool
	held     chan struct{} // not nil: nothing passes until it is closed
}

// newWire lays a wire to an address.
func newWire(t *testing.T, target string) *wire {
	t.Helper()
	w := &wire{t: t, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	w.to(target)
	w.addr = w.listener.Addr().String()
	t.Cleanup(w.cut)
	return w
}

// to lets connections go to another address from now on.
func (w *wire) to(target string) {
	w.t.Helper()
	w.cut()
	w.mu.Lock()
	defer w.mu.Unlock()
	listener, err := new(net.ListenConfig).Listen(w.t.Context(), "tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.target, w.listener, w.closed = target, listener, false
	go w.serve(listener, target)
}

// cut ends every connection, and refuses others.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed = true; w.listener != nil {
		_ = w.listener.Close()
	}
	for conn := range w.conns {
		_ = conn.Close()
	}
	w.release()
}

// hold lets nothing pass any more, without a word to either side: a network that is parted. What is
// on the wire is lost when it is cut.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
}

func (w *wire) release() {
	if w.held != nil {
		close(w.held)
		w.held = nil
	}
}

func (w *wire) serve(listener net.Listener, target string) {
	for {
		in, err := listener.Accept()
		if err != nil {
			return
		}
		out, err := new(net.Dialer).DialContext(context.Background(), "tcp", target)
		if err != nil {
			_ = in.Close()
			continue
		}
		if w.keep(in, out) {
			go w.pass(in, out)
			go w.pass(out, in)
		}
	}
}

// keep remembers the ends of a connection, unless the wire was cut meanwhile.
func (w *wire) keep(ends ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range ends {
		if w.closed {
			_ = conn.Close()
			continue
		}
		w.conns[conn] = true
	}
	return !w.closed
}

// pass copies one direction until either end is gone, and ends both.
func (w *wire) pass(to, from net.Conn) {
	data := make([]byte, 64<<10)
	for {
		n, err := from.Read(data)
		w.mu.Lock()
		held := w.held
		w.mu.Unlock()
		if held != nil {
			<-held // by then the wire is cut
		}
		if _, failed := to.Write(data[:n]); failed != nil || err != nil {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range []net.Conn{from, to} {
		_ = conn.Close()
		delete(w.conns, conn)
	}
}
