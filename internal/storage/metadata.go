package storage

import (
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxMetadata        = 2048 // bytes of encoded keys and values: the limit of S3
	defaultContentType = "application/octet-stream"
)

// normalized checks the options and returns them as every store keeps them.
func (o PutOptions) normalized() (PutOptions, error) {
	if o.ContentType == "" {
		o.ContentType = defaultContentType
	}
	if _, _, err := mime.ParseMediaType(o.ContentType); err != nil {
		return o, fmt.Errorf("content type %q: %w", o.ContentType, fs.ErrInvalid)
	}
	if mime.FormatMediaType("inline", map[string]string{"filename": o.FileName}) == "" || strings.ContainsFunc(o.FileName, unicode.IsControl) {
		return o, fmt.Errorf("file name %q: %w", o.FileName, fs.ErrInvalid)
	}
	if o.Size < -1 {
		return o, fmt.Errorf("size %d: %w", o.Size, fs.ErrInvalid)
	}
	o.Metadata = maps.Clone(o.Metadata)
	maps.DeleteFunc(o.Metadata, func(_, value string) bool { return value == "" })
	return o, checkMetadata(o.Metadata)
}

func checkMetadata(metadata map[string]string) error {
	size := 0
	for key, value := range metadata {
		if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return fmt.Errorf("metadata key %q: only lower case letters and dashes: %w", key, fs.ErrInvalid)
		}
		if !utf8.ValidString(value) {
			return fmt.Errorf("metadata %s: not UTF-8: %w", key, fs.ErrInvalid)
		}
		size += len(key) + len(encodeMetadata(value))
	}
	if size > maxMetadata {
		return fmt.Errorf("metadata of %d bytes, at most %d: %w", size, maxMetadata, fs.ErrInvalid)
	}
	return nil
}

// encodeMetadata makes a value that a header carries unchanged through every proxy: printable
// ASCII as it is, all else percent-encoded. Spaces too, since signatures fold runs of them.
func encodeMetadata(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decodeMetadata undoes encodeMetadata. A value that another program wrote is kept as it is.
func decodeMetadata(value string) string {
	decoded, err := url.PathUnescape(value)
	if err != nil || !utf8.ValidString(decoded) {
		return value
	}
	return decoded
}
