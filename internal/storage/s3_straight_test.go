package storage

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// A body goes to the wire from where it lies: in pieces larger than any buffer on the way.
func TestBodiesGoStraight(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), mib/16)
	var got []byte
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) }))
	t.Cleanup(server.Close)
	var largest atomic.Int64
	transport := &http.Transport{DialContext: straight(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return observed{conn, &largest}, err
	}, time.Minute)}
	t.Cleanup(transport.CloseIdleConnections)
	client := straightClient{&http.Client{Transport: transport}}
	for _, test := range []struct {
		name   string
		length int64 // of the request; another one is not ours to send
		least  int64 // bytes of the largest piece
	}{
		{"ours", int64(len(data)), 256 << 10},
		{"framed by somebody", int64(len(data)) - 1, 0},
	} {
		largest.Store(0)
		body, ctx := lend(t.Context(), data)
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, server.URL, io.NopCloser(bytes.NewReader(data[:test.length])))
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = test.length
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		body.takeBack()
		if !bytes.Equal(got, data[:test.length]) {
			t.Errorf("%s: got %d bytes, not those that were sent", test.name, len(got))
		}
		if largest.Load() < test.least {
			t.Errorf("%s: the largest piece had %d bytes, want %d", test.name, largest.Load(), test.least)
		}
	}
}

type observed struct {
	net.Conn
	largest *atomic.Int64
}

func (o observed) Write(p []byte) (int, error) {
	o.largest.Store(max(o.largest.Load(), int64(len(p))))
	return o.Conn.Write(p)
}
