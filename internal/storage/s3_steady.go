package storage

import (
	"net"
	"sync/atomic"
	"time"
)

// steadyConn ends when nothing has moved on it for so long, in either direction: a store that stops in the
// middle of a body would hold a handler, and its memory, for ever. Whoever writes may keep the other
// direction waiting, so each extends the time of both.
type steadyConn struct {
	net.Conn
	idle  time.Duration
	until *atomic.Int64 // when it gives up, in ns
}

// Read implements io.Reader.
func (c steadyConn) Read(p []byte) (int, error) {
	if err := c.extend(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write implements io.Writer.
func (c steadyConn) Write(p []byte) (int, error) {
	if err := c.extend(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// extend costs a system call at most a hundred times in the time that it gives.
func (c steadyConn) extend() error {
	now := time.Now()
	until := now.Add(c.idle)
	if before := c.until.Load(); until.UnixNano()-before < int64(c.idle/100) || !c.until.CompareAndSwap(before, until.UnixNano()) {
		return nil
	}
	return c.SetDeadline(until)
}
