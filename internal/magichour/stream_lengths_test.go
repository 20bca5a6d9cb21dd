package magichour

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A rawHost answers requests with bytes of its own making: what net/http would refuse to send.
type rawHost struct {
	mu      sync.Mutex
	answers []string // to one request each; the last is repeated
	asked   []string // "range, if-range"
}

// startRawHost returns the host's address.
func startRawHost(t *testing.T, answers ...string) (*rawHost, string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &rawHost{answers: answers}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { h.serve(conn) })
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return h, "http://" + listener.Addr().String()
}

// serve keeps the connection, unless the answer says that it is closed.
func (h *rawHost) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for in := bufio.NewReader(conn); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.asked = append(h.asked, strings.Trim(r.Header.Get("Range")+", "+r.Header.Get("If-Range"), ", "))
		answer := h.answers[0]
		if len(h.answers) > 1 {
			h.answers = h.answers[1:]
		}
		h.mu.Unlock()
		if _, err := io.WriteString(conn, answer); err != nil || strings.Contains(answer, "Connection: close") {
			return
		}
	}
}

// raw is an answer with the file's tag.
func raw(status, headers, body string) string {
	return "HTTP/1.1 " + status + "\r\nContent-Type: video/mp4\r\nETag: \"first\"\r\n" + headers + "\r\n\r\n" + body
}

// chunked is a body in one chunk, and the mark of its end.
func chunked(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }

const inChunks = "Transfer-Encoding: chunked"

// TestLengths: a host that sends more or less than it says. What is read is the whole file, or an error.
func TestLengths(t *testing.T) {
	t.Parallel()
	whole := string(file())
	const half = fileSize / 2
	// cut has no mark of its end: its connection is closed before.
	cut := raw("200 OK", inChunks+"\r\nConnection: close", fmt.Sprintf("%x\r\n%s\r\n", half, whole[:half]))
	cutAtLength := raw("200 OK", fmt.Sprintf("Content-Length: %d\r\nConnection: close", fileSize), whole[:half])
	rest := func(from, end int, headers, body string) string {
		return raw("206 Partial Content", fmt.Sprintf("Content-Range: bytes %d-%d/%d\r\n%s", from, end-1, fileSize, headers), body)
	}
	tests := []struct {
		name    string
		answers []string
		want    error // nil: the file comes whole
		asked   int
	}{
		{"shorter than its length", []string{cutAtLength, rest(half, fileSize, inChunks, chunked(whole[half:]))}, nil, 2},
		{"longer than its length", []string{raw("200 OK", fmt.Sprintf("Content-Length: %d", fileSize), whole+"and more")}, nil, 1},
		{"a range in chunks that is longer", []string{cutAtLength, rest(half, fileSize, inChunks, chunked(whole[half:]+"and more"))}, ErrChanged, 2},
		{"a range of unknown length that is longer", []string{cut, rest(half, fileSize, inChunks, chunked(whole[half:]+"and more"))}, ErrChanged, 2},
		{"a range whose length is not that of the range", []string{cut, rest(half, fileSize, fmt.Sprintf("Content-Length: %d", half+1), whole[half:]+"m")}, ErrChanged, 2},
		{"a range that goes on after its end", []string{cut, rest(half, half+9, inChunks, chunked("123456789and more"))}, ErrChanged, 2},
		{"a range in chunks that is shorter", []string{cut, rest(half, fileSize, inChunks, chunked(whole[half:half+1000])),
			rest(half+1000, fileSize, inChunks, chunked(whole[half+1000:]))}, nil, 3},
		{"one range for each request", []string{cut, rest(half, half+7, "Content-Length: 7", whole[half:half+7]), rest(half+7, half+8, "Content-Length: 1", whole[half+7:half+8]),
			rest(half+8, fileSize, inChunks, chunked(whole[half+8:]))}, nil, 4},
		{"a range that is ever shorter", []string{cut, rest(half, fileSize, inChunks, chunked(""))}, io.ErrUnexpectedEOF, 1 + mostTries},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, url := startRawHost(t, tt.answers...)
			c := clientAt(t, url)
			c.pause = 1
			got, err := readAll(t.Context(), c, nil)
			if !errors.Is(err, tt.want) || tt.want == nil && string(got) != whole {
				t.Errorf("got %d bytes, %v; want %v", len(got), err, tt.want)
			}
			c.media.CloseIdleConnections()
			h.mu.Lock()
			defer h.mu.Unlock()
			if len(h.asked) != tt.asked {
				t.Errorf("asked for %q, want %d requests", h.asked, tt.asked)
			}
		})
	}
}
