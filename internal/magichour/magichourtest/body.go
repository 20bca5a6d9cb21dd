package magichourtest

import (
	"cmp"
	"net/http"
	"strconv"
	"time"
)

// spoil wraps an answer so that its body is sent the way the behavior says.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, project string, b Behavior) http.ResponseWriter {
	if b.Body == "" {
		return w
	}
	return &spoiledBody{ResponseWriter: w, server: s, request: r, project: project, body: b.Body, rate: cmp.Or(b.Rate, 1000), breakAt: b.BreakAt}
}

// A spoiledBody is an answer with something wrong with its body. It works on whatever
// range of the file is sent.
type spoiledBody struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	project string // its id
	body    Body
	rate    int // bytes per second
	breakAt int
	left    int // bytes until the body breaks off
}

// WriteHeader takes the length away, and finds the middle.
func (b *spoiledBody) WriteHeader(status int) {
	header := b.Header()
	length, _ := strconv.Atoi(header.Get("Content-Length"))
	b.left = cmp.Or(b.breakAt, length/2)
	switch b.body {
	case Chunked, Cut:
		header.Del("Content-Length")
	case Short:
		header.Del("Content-Length")
		header.Set("Transfer-Encoding", "identity") // net/http ends the body by closing
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *spoiledBody) Write(p []byte) (int, error) {
	switch b.body {
	case Chunked:
		return b.ResponseWriter.Write(p)
	case Slow:
		return b.writeSlowly(p)
	}
	if b.left >= len(p) {
		b.left -= len(p)
		return b.ResponseWriter.Write(p)
	}
	n, err := b.ResponseWriter.Write(p[:b.left])
	b.left = 0
	if err != nil {
		return n, err
	}
	return b.breakOff(p, n)
}

// breakOff is reached in the middle.
func (b *spoiledBody) breakOff(p []byte, sent int) (int, error) {
	if b.body == Short {
		return len(p), nil // to the caller, and to the client, it looks like the end
	}
	b.flush() // what has been sent must have arrived
	if b.body != Stalled {
		panic(http.ErrAbortHandler)
	}
	if !b.server.hold(b.request.Context(), Download, b.project) {
		panic(http.ErrAbortHandler)
	}
	b.body = Chunked // from here on it is whole
	n, err := b.ResponseWriter.Write(p[sent:])
	return sent + n, err
}

// writeSlowly sends ten pieces a second.
func (b *spoiledBody) writeSlowly(p []byte) (int, error) {
	piece := max(1, b.rate/10)
	for start := 0; start < len(p); start += piece {
		end := min(start+piece, len(p))
		if n, err := b.ResponseWriter.Write(p[start:end]); err != nil {
			return start + n, err
		}
		b.flush()
		pause := time.Duration(end-start) * time.Second / time.Duration(b.rate)
		if !pauseFor(b.request.Context(), pause) {
			return end, b.request.Context().Err()
		}
	}
	return len(p), nil
}

func (b *spoiledBody) flush() {
	_ = http.NewResponseController(b.ResponseWriter).Flush() // a recorder in a test may not be able to
}
