package magichour

import (
	"context"
	"net/http/httptrace"
	"sync"
)

// guard stands at the connection of a purchase. The moment it is had is the last one at which
// the purchase can be called off, by closing the connection before a byte is written, and the
// proof of whether one was under way: what never had a connection was never sent.
type guard struct {
	ready func() error

	mu     sync.Mutex
	passed bool
	err    error
}

// at returns the context under which the guard stands at every connection of a request.
func (g *guard) at(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !g.pass() {
			_ = info.Conn.Close()
		}
	}})
}

// pass asks whether to buy, every time that a connection is had.
func (g *guard) pass() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = g.ready()
	}
	g.passed = g.passed || g.err == nil
	return g.err == nil
}

// outcome reports whether the request may have been sent, and why it was called off if it was.
func (g *guard) outcome() (sent bool, calledOff error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passed, g.err
}
