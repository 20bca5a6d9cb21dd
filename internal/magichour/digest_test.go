package magichour

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
)

// The digests of "123456789", as published or as md5sum and its like print them.
const (
	digits    = "123456789"
	digitsNVM = "rosUhgp5mIg="             // ae8b14860a799888
	digitsC   = "4waSgw=="                 // e3069283
	digits32  = "y/Q5Jg=="                 // cbf43926
	digitsMD5 = "JfnnlDI7RTiF9RgfG2JNCw==" // 25f9e794323b453885f5181f1b624d0b
	digits1   = "98O8HYCOBHMq32eZZczDTKeuNEE="
	digits256 = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="
)

func TestDigests(t *testing.T) {
	t.Parallel()
	wrong := func(right string) string {
		raw, err := base64.StdEncoding.DecodeString(right)
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 1
		return base64.StdEncoding.EncodeToString(raw)
	}
	tests := []struct {
		name, header, value string
		compared            bool
	}{
		{"Google, crc32c", "X-Goog-Hash", "crc32c=" + digitsC, true},
		{"Google, md5", "X-Goog-Hash", "md5=" + digitsMD5, true},
		{"md5", "Content-Md5", digitsMD5, true},
		{"the standard one", "Repr-Digest", "sha-256=:" + digits256 + ":", true},
		{"the standard one among others", "Repr-Digest", "unixsum=:AAA=:, sha-256=:" + digits256 + ":", true},
		{"S3, crc64nvme", "X-Amz-Checksum-Crc64nvme", digitsNVM, true},
		{"S3, crc32c", "X-Amz-Checksum-Crc32c", digitsC, true},
		{"S3, crc32", "X-Amz-Checksum-Crc32", digits32, true},
		{"S3, sha1", "X-Amz-Checksum-Sha1", digits1, true},
		{"S3, sha256", "X-Amz-Checksum-Sha256", digits256, true},
		{"S3, of the parts", "X-Amz-Checksum-Crc32c", digitsC + "-2", false},
		{"unknown", "X-Goog-Hash", "xxh3=" + digitsMD5, false},
		{"of another length", "Content-Md5", digitsC, false},
		{"no base64", "Content-Md5", "?", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name, value, ok := strings.Cut(tt.value, digitsOf(tt.value))
			if !ok {
				t.Fatalf("no digest in %q", tt.value)
			}
			for _, right := range []bool{true, false} {
				digest := digitsOf(tt.value)
				if !right && tt.compared {
					digest = wrong(digest)
				}
				h := &host{file: []byte(digits), script: []trick{func(_ *host, w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set(tt.header, name+digest+value)
					return false
				}}}
				got, err := readAll(t.Context(), impatient(t, h), nil)
				if wanted := right || !tt.compared; wanted && (err != nil || string(got) != digits) || !wanted && !errors.Is(err, ErrDamaged) {
					t.Errorf("right: %t, got %q, %v", right, got, err)
				}
			}
		})
	}
}

// digitsOf finds the digest in a header.
func digitsOf(value string) string {
	for _, d := range []string{digitsNVM, digitsC, digits32, digitsMD5, digits1, digits256, "?"} {
		if strings.Contains(value, d) {
			return d
		}
	}
	return ""
}

// TestDigestOfAResumedFile: it is of all the bytes, over however many connections they came.
func TestDigestOfAResumedFile(t *testing.T) {
	t.Parallel()
	digest := func(_ *host, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Goog-Hash", "crc32c="+digitsC)
	}
	h := &host{file: []byte(digits), tag: `"first"`, script: []trick{func(h *host, w http.ResponseWriter, r *http.Request) bool {
		digest(h, w, r)
		return cutAfter(4)(h, w, r)
	}}}
	if got, err := readAll(t.Context(), impatient(t, h), nil); err != nil || string(got) != digits {
		t.Errorf("got %q, %v", got, err)
	}
	h.script = []trick{func(h *host, w http.ResponseWriter, r *http.Request) bool {
		digest(h, w, r)
		return cutAfter(4)(h, w, r)
	}, func(h *host, w http.ResponseWriter, r *http.Request) bool {
		h.file = bytes.Replace(h.file, []byte("7"), []byte("8"), 1) // under the same tag
		return false
	}}
	if _, err := readAll(t.Context(), impatient(t, h), nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged end: got %v, want ErrDamaged", err)
	}
}

// TestSlowDigests: they are computed only where there is no fast one.
func TestSlowDigests(t *testing.T) {
	t.Parallel()
	h := http.Header{"X-Goog-Hash": {"md5=" + digitsMD5, "crc32c=" + digitsC}}
	if got := digestsIn(h); len(got) != 1 || got[0].name != "crc32c" {
		t.Errorf("got %d, want the crc32c alone", len(got))
	}
	h = http.Header{"X-Amz-Checksum-Type": {"COMPOSITE"}, "X-Amz-Checksum-Crc32c": {digitsC}}
	if got := digestsIn(h); len(got) != 0 {
		t.Errorf("of the parts: got %d, want none", len(got))
	}
}
