package storage

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// errTakenBack is what a request gets that goes on reading a body after it was answered.
var errTakenBack = errors.New("the request is over")

// lentBody lends a buffer to one request. net/http may go on reading a body after it has returned, for
// example when the server has answered early: then the buffer is somebody else's, or not there any more.
type lentBody struct {
	mu sync.Mutex
	r  *bytes.Reader // nil once it was taken back
}

func lend(data []byte) *lentBody { return &lentBody{r: bytes.NewReader(data)} }

// Read implements io.Reader.
func (b *lentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errTakenBack
	}
	return b.r.Read(p)
}

// Seek implements io.Seeker: the SDK goes back to the beginning to try again.
func (b *lentBody) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errTakenBack
	}
	return b.r.Seek(offset, whence)
}

// takeBack returns once nobody reads the buffer any more, for good.
func (b *lentBody) takeBack() {
	b.mu.Lock()
	b.r = nil
	b.mu.Unlock()
}

var _ io.ReadSeeker = (*lentBody)(nil)
