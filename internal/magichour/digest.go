package magichour

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // against accidents, and the host chooses
	"crypto/sha1" //nolint:gosec // the same
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/minio/crc64nvme"
)

// ErrDamaged says that the bytes that came do not have the checksum that the media host gave with them.
var ErrDamaged = errors.New("the file is not what the media host says it is")

// A digest is what a host says of its file, and what comes of the bytes.
type digest struct {
	name string
	want []byte
	hash hash.Hash
	fast bool // faster than any network
}

// algorithms by their names in headers.
var algorithms = map[string]struct {
	fast bool
	make func() hash.Hash
}{
	"crc64nvme": {true, func() hash.Hash { return crc64nvme.New() }},
	"crc32c":    {true, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	"crc32":     {true, func() hash.Hash { return crc32.NewIEEE() }},
	"md5":       {false, md5.New},
	"sha1":      {false, sha1.New},
	"sha-256":   {false, sha256.New},
	"sha256":    {false, sha256.New},
	"sha-512":   {false, sha512.New},
}

// digestsIn finds what the headers of an answer say of the whole file. If there is a fast one, the slow
// ones are left out: MD5 alone would make a copy wait for the processor, and all of them are there to
// find accidents. What can't be read says nothing.
func digestsIn(h http.Header) []digest {
	var found []digest
	add := func(name, value string) {
		a, known := algorithms[name]
		want, err := base64.StdEncoding.DecodeString(value)
		if !known || err != nil {
			return
		}
		if d := (digest{name, want, a.make(), a.fast}); len(want) == d.hash.Size() {
			found = append(found, d)
		}
	}
	for _, list := range h.Values("X-Goog-Hash") {
		for item := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			add(name, value)
		}
	}
	for _, list := range h.Values("Repr-Digest") {
		for item := range strings.SplitSeq(list, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			add(name, strings.Trim(value, ":"))
		}
	}
	add("md5", h.Get("Content-Md5"))
	if h.Get("X-Amz-Checksum-Type") != "COMPOSITE" { // of the checksums of parts
		for _, name := range []string{"crc64nvme", "crc32c", "crc32", "sha1", "sha256"} {
			add(name, h.Get("X-Amz-Checksum-"+name))
		}
	}
	if slices.ContainsFunc(found, func(d digest) bool { return d.fast }) {
		found = slices.DeleteFunc(found, func(d digest) bool { return !d.fast })
	}
	return found
}

// checked is a body that ends in io.EOF only if all of it was what the host said.
type checked struct {
	io.ReadCloser
	digests []digest
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	for _, d := range c.digests {
		_, _ = d.hash.Write(p[:n]) // never fails
	}
	if errors.Is(err, io.EOF) {
		for _, d := range c.digests {
			if got := d.hash.Sum(nil); !bytes.Equal(got, d.want) {
				return n, fmt.Errorf("%w: %s %s, and what came has %s", ErrDamaged, d.name, base64.StdEncoding.EncodeToString(d.want), base64.StdEncoding.EncodeToString(got))
			}
		}
	}
	return n, err
}
