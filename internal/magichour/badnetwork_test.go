package magichour

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A badNetwork stands before a server. A fourth of its connections are well, half are reset after some
// bytes, and a fourth fall silent.
type badNetwork struct {
	server           string
	carried          atomic.Int64 // bytes from the server
	resets, silences atomic.Int64
	done             sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
}

// startBadNetwork returns it with its address.
func startBadNetwork(t *testing.T, server string) (*badNetwork, string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &badNetwork{server: server, random: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // repeatable is what is wanted
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	n.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n.done.Go(func() { n.carry(ctx, conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		n.done.Wait()
	})
	return n, listener.Addr().String()
}

// carry carries one connection up to its end, as this network would have it.
func (n *badNetwork) carry(ctx context.Context, client *net.TCPConn) {
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", n.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = server.Close()
	})
	defer stop()
	hungUp := make(chan struct{})
	n.done.Go(func() {
		_, _ = io.Copy(server, client)
		close(hungUp)
	})
	n.mu.Lock()
	fate, limit, late := n.random.IntN(4), n.random.Int64N(200_000), time.Duration(n.random.IntN(5))*time.Millisecond
	n.mu.Unlock()
	<-time.After(late)
	if fate == 0 {
		limit += fileSize // one file at least
	}
	copied, _ := io.CopyN(client, server, limit)
	n.carried.Add(copied)
	switch fate {
	case 1, 2:
		n.resets.Add(1)
		_ = client.SetLinger(0) // closes by a reset
	case 3:
		n.silences.Add(1)
		<-hungUp
	}
}

// TestBadNetwork: whatever a network does short of being away, files come whole, and little is read twice.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	const files = 100
	h := &host{file: file(), tag: `"first"`}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	network, addr := startBadNetwork(t, server.Listener.Addr().String())
	c := clientAt(t, "http://"+addr)
	c.pause, c.IdleLimit = time.Millisecond, 300*time.Millisecond
	var reading sync.WaitGroup
	for range 10 {
		reading.Go(func() {
			for range files / 10 {
				got, err := persistently(t.Context(), c)
				if err != nil || !bytes.Equal(got, file()) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
			}
		})
	}
	reading.Wait()
	read := float64(network.carried.Load()) / (files * fileSize)
	t.Logf("%d resets, %d silences, %.2f times the bytes needed", network.resets.Load(), network.silences.Load(), read)
	if network.resets.Load() < files/4 || network.silences.Load() < files/4 {
		t.Error("the network was not bad")
	}
	if read > 1.3 {
		t.Errorf("%.2f times the bytes needed were read, want at most 1.3", read)
	}
}

// persistently opens a file again if not even the first answer came, as the queue would.
func persistently(ctx context.Context, c *Client) (got []byte, err error) {
	for range 20 {
		if got, err = readAll(ctx, c, nil); err == nil || got != nil {
			return got, err
		}
	}
	return nil, err
}
