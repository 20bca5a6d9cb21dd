package storage

import (
	"container/list"
	"context"
	"fmt"
	"math/bits"
	"sync"
)

// DefaultCopyMemory is the bound of Options.CopyMemory if none is given, and LeastCopyMemory the
// smallest one: one part that is read, and one that is sent.
const (
	DefaultCopyMemory = 256 * mib
	LeastCopyMemory   = 2 * 8 * mib
)

// memory is what all copies of a store may hold at once. Who asks for a buffer waits until there is
// room, in the order of asking, so that a large request is not overtaken for ever by small ones.
//
// Two copies can't block each other: who waits here holds nothing but buffers that are being sent,
// and those come back without anybody's getting a further one.
//
// The buffers are not the garbage collector's: it would let the heap grow to twice of what is in use
// before it takes back anything.
type memory struct {
	bound int64 // bytes

	mu      sync.Mutex
	used    int64            // bytes handed out
	kept    int64            // bytes in free
	free    map[int][][]byte // by size; ready to be handed out again while any is in use
	waiting list.List        // of *request
}

type request struct {
	size    int
	granted chan struct{} // closed when one of these is set
	buffer  []byte
	err     error
}

func newMemory(bound int64) *memory { return &memory{bound: bound, free: map[int][][]byte{}} }

// take returns a buffer of n bytes as soon as there is room for it. The caller gives it back.
func (m *memory) take(ctx context.Context, n int64) ([]byte, error) {
	size := sizeFor(n)
	if int64(size) > m.bound/2 {
		return nil, fmt.Errorf("a body as long as this one goes in parts of %d MiB: set HOURGLASS_COPY_MEMORY to at least %d MiB", n>>20, 2*n>>20)
	}
	m.mu.Lock()
	r := &request{size: size, granted: make(chan struct{})}
	place := m.waiting.PushBack(r)
	m.grant()
	m.mu.Unlock()
	select {
	case <-r.granted:
	case <-ctx.Done():
		return nil, m.leave(ctx, place)
	}
	if r.err != nil {
		return nil, r.err
	}
	return r.buffer[:n], nil
}

// leave ends the waiting of one whose context has ended.
func (m *memory) leave(ctx context.Context, place *list.Element) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := place.Value.(*request); r.buffer != nil { // at the same moment
		m.giveBack(r.buffer)
	} else {
		m.waiting.Remove(place)
	}
	m.goOn() // those behind may be smaller
	return context.Cause(ctx)
}

// grant lets those in who have room now, from the first on.
func (m *memory) grant() {
	for first := m.waiting.Front(); first != nil; first = m.waiting.Front() {
		r := first.Value.(*request)
		if m.used+int64(r.size) > m.bound {
			return
		}
		if r.buffer, r.err = m.buffer(r.size); r.err == nil {
			m.used += int64(r.size)
		}
		m.waiting.Remove(first)
		close(r.granted)
	}
}

// buffer finds a buffer of this very size, or makes one. What is kept counts as memory too, so that it
// goes where it would be in the way.
func (m *memory) buffer(size int) ([]byte, error) {
	if same := m.free[size]; len(same) > 0 {
		m.free[size] = same[:len(same)-1]
		m.kept -= int64(size)
		return same[len(same)-1], nil
	}
	if m.used+m.kept+int64(size) > m.bound {
		m.drop()
	}
	return allocate(size)
}

// give takes a buffer back. When nobody uses any, the memory is the system's again.
func (m *memory) give(buffer []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.giveBack(buffer)
	m.goOn()
}

// goOn does what is to be done whenever there is more room than before.
func (m *memory) goOn() {
	m.grant()
	if m.used == 0 {
		m.drop()
	}
}

func (m *memory) giveBack(buffer []byte) {
	buffer = buffer[:cap(buffer)]
	size := len(buffer)
	m.used -= int64(size)
	m.free[size] = append(m.free[size], buffer)
	m.kept += int64(size)
}

// drop forgets the buffers that nobody uses.
func (m *memory) drop() {
	for size, buffers := range m.free {
		for _, buffer := range buffers {
			release(buffer)
		}
		delete(m.free, size)
	}
	m.kept = 0
}

// sizeFor rounds up so that few sizes serve all bodies: to a power of two, and from the size of a part
// on to whole MiB.
func sizeFor(n int64) int {
	const least = 64 << 10
	if n > 8*mib {
		return int((n + mib - 1) / mib * mib)
	}
	return max(least, 1<<bits.Len64(uint64(max(n, 1)-1)))
}
