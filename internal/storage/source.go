package storage

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/minio/crc64nvme"
)

// source is a body on its way into a store. It counts and checksums what it hands out, stops
// when the context ends, and ends in io.EOF only if the body is as long as announced: a
// store that makes an object only after io.EOF never makes one of a half body.
type source struct {
	ctx  context.Context
	r    io.Reader
	want int64 // bytes announced, -1 if unknown
	size int64 // bytes read so far
	crc  uint64
}

func newSource(ctx context.Context, r io.Reader, want int64) *source {
	return &source{ctx: ctx, r: r, want: want}
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.crc = crc64nvme.Update(s.crc, p[:n])
	s.size += int64(n)
	switch {
	case s.want >= 0 && s.size > s.want:
		return n, fmt.Errorf("body is longer than the %d bytes announced", s.want)
	case err == io.EOF && s.size < s.want:
		return n, fmt.Errorf("body ended after %d of the %d bytes announced: %w", s.size, s.want, io.ErrUnexpectedEOF)
	case err != nil && s.ctx.Err() != nil:
		return n, s.ctx.Err() // the body may have ended, or been closed, because the context ended
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("read body: %w", err)
	}
	return n, err
}

// checksum is what the store must confirm once the source has been read to its end.
func (s *source) checksum() string { return checksumScheme + crcBase64(s.crc) }

// pour copies a body in large pieces, of which io.Copy would take small ones.
func pour(w io.Writer, body io.Reader) error {
	buffer := pieces.Get().(*[256 << 10]byte)
	defer pieces.Put(buffer)
	for {
		n, err := body.Read(buffer[:])
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// drain reads a body to its end, for its checksum.
func drain(body *source) error { return pour(io.Discard, body) }

var pieces = sync.Pool{New: func() any { return new([256 << 10]byte) }}
