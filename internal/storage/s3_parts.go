package storage

import (
	"context"
	"fmt"
	"io"
)

const (
	mib      = 1 << 20
	maxParts = 10_000 // the limit of S3
)

// partSizes says how a body is cut.
type partSizes struct {
	first int64 // bytes; at least 5 MiB at S3
	grown int64 // bytes; parts of a body of unknown length from growAt on
	// growAt is late, because some stores want all parts but the last to be equal.
	growAt int
}

// 8 MiB keeps a Put small in memory; 5,000 of them are 39 GiB.
var s3PartSizes = partSizes{first: 8 * mib, grown: 64 * mib, growAt: 5_000}

// within lets parts grow no larger than two of them fit into the memory for copies.
func (p partSizes) within(memory int64) partSizes {
	p.grown = max(p.first, min(p.grown, memory/2/mib*mib))
	return p
}

// of is the size of part n, from 1, of a body of total bytes (-1 if unknown).
func (p partSizes) of(n int, total int64) int64 {
	if total < 0 {
		if n > p.growAt {
			return p.grown
		}
		return p.first
	}
	needed := (total + maxParts - 1) / maxParts
	return max(p.first, (needed+mib-1)/mib*mib)
}

// part is a piece of a body, ready to be sent and sent again. Who sends it gives its buffer back.
type part struct {
	number int32 // from 1
	data   []byte
	crc    uint64
	last   bool
}

// cutter cuts a source into parts, each in a buffer of its own.
type cutter struct {
	body   *source
	sizes  partSizes
	memory *memory
	number int
	ahead  [1]byte // the byte after the last part; whether there is one says whether it was the last
	had    int     // bytes in ahead
	crc    uint64  // of the body up to the last part's end
}

// next returns the next part, as soon as there is memory for it; it must not be called after the last
// one.
func (c *cutter) next(ctx context.Context) (part, error) {
	c.number++
	if c.number > maxParts {
		return part{}, fmt.Errorf("body has more than %d parts, which is all that S3 takes", maxParts)
	}
	buffer, err := c.memory.take(ctx, c.room())
	if err != nil {
		return part{}, err
	}
	handedOn := false
	defer func() {
		if !handedOn { // also when the reading panics: others live on with that memory
			c.memory.give(buffer)
		}
	}()
	before := c.crc
	n, err := c.fill(buffer)
	if err != nil {
		return part{}, err
	}
	handedOn = true
	return part{number: int32(c.number), data: buffer[:n], crc: crcOfTail(c.crc, before, int64(n)), last: c.had == 0}, nil //nolint:gosec // at most maxParts
}

// fill reads a part, and the byte after it.
func (c *cutter) fill(buffer []byte) (n int, err error) {
	n = copy(buffer, c.ahead[:c.had])
	read, ended, err := fill(c.body, buffer[n:])
	n += read
	c.had, c.crc = 0, c.body.crc
	if err == nil && !ended {
		c.had, _, err = fill(c.body, c.ahead[:])
	}
	return n, err
}

// fill reads until p is full or the body has ended. It is not io.ReadFull, whose error for a
// body that ended is the same as that of an HTTP body that was cut: a half file would pass.
func fill(r io.Reader, p []byte) (n int, ended bool, err error) {
	for n < len(p) {
		m, err := r.Read(p[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// room is the size of the next buffer: no larger than what is left of the body is said to be, since most
// bodies are smaller than a part.
func (c *cutter) room() int64 {
	size := c.sizes.of(c.number, c.body.want)
	if c.body.want >= 0 {
		size = min(size, max(c.body.want-c.body.size+int64(c.had), 1))
	}
	return size
}
