package storagetest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

func roundTrip(t *testing.T, store storage.Store) {
	tests := []struct {
		name string
		size int
	}{
		{"empty", 0},
		{"one byte", 1},
		{"small", 100_000},
		{"one part less a byte", part - 1},
		{"exactly one part", part},
		{"one part and a byte", part + 1},
		{"exactly two parts", 2 * part},
		{"several parts", 2*part + 12345},
	}
	sources := []struct {
		name string
		size func(int) int64
		wrap func(io.Reader) io.Reader
	}{
		{"announced", func(n int) int64 { return int64(n) }, func(r io.Reader) io.Reader { return r }},
		{"not announced", func(int) int64 { return -1 }, func(r io.Reader) io.Reader { return r }},
		{"in dribs", func(n int) int64 { return int64(n) }, iotest.HalfReader},
		{"end with the last bytes", func(int) int64 { return -1 }, iotest.DataErrReader},
	}
	for i, test := range tests {
		for _, source := range sources {
			t.Run(test.name+", "+source.name, func(t *testing.T) {
				t.Parallel()
				body := Body(test.size, i)
				key := strings.ReplaceAll("round/"+test.name+"/"+source.name+".mp4", " ", "-")
				object, err := store.Put(t.Context(), key, source.wrap(bytes.NewReader(body)), storage.PutOptions{
					Size: source.size(test.size), ContentType: "video/mp4", Metadata: map[string]string{"project": "cm1"},
				})
				if err != nil {
					t.Fatal(err)
				}
				wantObject(t, object, key, body)
				if diff := cmp.Diff(object, head(t, store, key)); diff != "" {
					t.Errorf("head differs from what put said (-put +head):\n%s", diff)
				}
				wantBody(t, store, key, body)
			})
		}
	}
}

// knownChecksums are published ones: of the empty string, and the check value of CRC-64/NVME.
func knownChecksums(t *testing.T, store storage.Store) {
	tests := []struct{ name, body, crc string }{
		{"empty", "", "0000000000000000"},
		{"check value", "123456789", "ae8b14860a799888"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			crc, err := hex.DecodeString(test.crc)
			if err != nil {
				t.Fatal(err)
			}
			object := put(t, store, "vector/"+strings.ReplaceAll(test.name, " ", "-"), []byte(test.body), storage.PutOptions{})
			if want := "crc64nvme:" + base64.StdEncoding.EncodeToString(crc); object.Checksum != want {
				t.Errorf("got %s, want %s", object.Checksum, want)
			}
		})
	}
}

func contentType(t *testing.T, store storage.Store) {
	tests := []struct{ name, give, want string }{
		{"given", "image/png", "image/png"},
		{"with a parameter", "text/plain; charset=utf-8", "text/plain; charset=utf-8"},
		{"none", "", "application/octet-stream"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			object := put(t, store, "type/"+strings.ReplaceAll(test.name, " ", "-"), []byte("x"), storage.PutOptions{ContentType: test.give})
			if object.ContentType != test.want {
				t.Errorf("got %q, want %q", object.ContentType, test.want)
			}
		})
	}
}

func metadata(t *testing.T, store storage.Store) {
	give := map[string]string{
		"project":   "cm4x9k2",
		"source":    "/videos/a b/output.mp4",
		"title":     "Köln – 東京 🎬",
		"percent":   "100% %41 %zz",
		"spaces":    "  two  and two  ",
		"lines":     "a\r\nb\tc\x00d",
		"word":      "=?UTF-8?B?eA==?=",
		"with-dash": `"quoted", and; more`,
		"empty":     "",
	}
	want := map[string]string{}
	for key, value := range give {
		if value != "" { // not kept
			want[key] = value
		}
	}
	for _, size := range []int{3, part + 3} {
		key := "metadata/" + strings.Repeat("x", size%part%10+size/part)
		object := put(t, store, key, Body(size, 1), storage.PutOptions{Metadata: give})
		if diff := cmp.Diff(want, object.Metadata); diff != "" {
			t.Errorf("%d bytes (-want +got):\n%s", size, diff)
		}
	}
	if got := put(t, store, "metadata/none", nil, storage.PutOptions{}).Metadata; len(got) != 0 {
		t.Errorf("none given: got %v", got)
	}
}

func badOptions(t *testing.T, store storage.Store) {
	tests := []struct {
		name string
		o    storage.PutOptions
	}{
		{"upper case", storage.PutOptions{Metadata: map[string]string{"Project": "x"}}},
		{"empty key", storage.PutOptions{Metadata: map[string]string{"": "x"}}},
		{"not UTF-8", storage.PutOptions{Metadata: map[string]string{"project": "\xff"}}},
		{"too much", storage.PutOptions{Metadata: map[string]string{"project": strings.Repeat("ö", 400)}}},
		{"content type", storage.PutOptions{ContentType: "video/mp4\r\nX-Evil: 1"}},
		{"file name", storage.PutOptions{FileName: "a\r\nX-Evil: 1"}},
		{"size", storage.PutOptions{Size: -2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := store.Put(t.Context(), "options/"+strings.ReplaceAll(test.name, " ", "-"), strings.NewReader(""), test.o)
			if !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("got %v, want fs.ErrInvalid", err)
			}
		})
	}
}
