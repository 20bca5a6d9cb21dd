package storage

import (
	"context"
	"errors"
	"io"
	"sync"
)

// errTakenBack is what a request gets that goes on reading a body after it was answered.
var errTakenBack = errors.New("the request is over")

// lentBody lends a buffer to one request. net/http may go on reading a body after it has returned, for
// example when the server has answered early: then the buffer is somebody else's, or not there any more.
type lentBody struct {
	size int64

	mu    sync.Mutex
	data  []byte
	at    int
	taken bool
}

// lend returns a body of these bytes, and the context of the request that is to send them.
func lend(ctx context.Context, data []byte) (*lentBody, context.Context) {
	body := &lentBody{data: data, size: int64(len(data))}
	return body, context.WithValue(ctx, lentKey{}, body)
}

// Read implements io.Reader.
func (b *lentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.taken:
		return 0, errTakenBack
	case b.at == len(b.data):
		return 0, io.EOF
	}
	n := copy(p, b.data[b.at:])
	b.at += n
	return n, nil
}

// Seek implements io.Seeker: the SDK looks for the length, and goes back to the beginning to try again.
func (b *lentBody) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += int64(b.at)
	case io.SeekEnd:
		offset += b.size
	}
	if b.taken {
		return 0, errTakenBack
	}
	if offset < 0 || offset > b.size {
		return 0, errors.New("seek: outside of the body")
	}
	b.at = int(offset)
	return offset, nil
}

// Close implements io.Closer. A body that is closed can be sent again.
func (b *lentBody) Close() error { return nil }

// writeTo writes up to most bytes as they lie there. takeBack waits for the piece that is being written, and
// that ends with its connection.
func (b *lentBody) writeTo(w io.Writer, most int64) (written int64, err error) {
	const piece = 256 << 10
	for err == nil && written < most {
		var n int
		n, err = b.writePiece(w, int(min(piece, most-written)))
		if n == 0 && err == nil {
			break
		}
		written += int64(n)
	}
	return written, err
}

func (b *lentBody) writePiece(w io.Writer, most int) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken {
		return 0, errTakenBack
	}
	n, err := w.Write(b.data[b.at:min(b.at+most, len(b.data))])
	b.at += n
	return n, err
}

// takeBack returns once nobody reads the buffer any more, for good.
func (b *lentBody) takeBack() {
	b.mu.Lock()
	b.data, b.at, b.taken = nil, 0, true
	b.mu.Unlock()
}
