package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// dechunked takes the framing off that most clients of S3 put around a body, and compares the CRC32 at its
// end: what the sink behind it sees is a plain body.
type dechunked struct{ sink http.Handler }

// ServeHTTP implements http.Handler.
func (d dechunked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") || strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		length, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.ContentLength = length
		r.Body = io.NopCloser(&chunks{r: bufio.NewReaderSize(r.Body, 64<<10), crc: crc32.NewIEEE()})
	}
	d.sink.ServeHTTP(w, r)
}

// chunks reads "<hex length>[;signature]\r\n<bytes>\r\n" until a length of 0, and then trailers.
type chunks struct {
	r    *bufio.Reader
	crc  hash.Hash32
	left int64
	err  error
}

// Read implements io.Reader.
func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 && c.err == nil {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	_, _ = c.crc.Write(p[:n]) // never fails
	if c.left -= int64(n); c.left == 0 && err == nil {
		_, err = c.r.Discard(2)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads the line before a chunk; at the end io.EOF, if the checksum is right.
func (c *chunks) next() error {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("chunk: %w", err)
	}
	length, _, _ := strings.Cut(strings.TrimSpace(line), ";")
	if c.left, err = strconv.ParseInt(length, 16, 64); err != nil || c.left > 0 {
		return err
	}
	trailer, err := textproto.NewReader(c.r).ReadMIMEHeader()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	want := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, c.crc.Sum32()))
	if got := trailer.Get("X-Amz-Checksum-Crc32"); got != "" && got != want {
		return fmt.Errorf("checksum %s, want %s", got, want)
	}
	return io.EOF
}
