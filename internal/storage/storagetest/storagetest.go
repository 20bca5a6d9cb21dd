// Package storagetest is the one suite that every storage.Store must pass, and an S3 server in memory
// for tests that inject faults.
package storagetest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc64"
	"io"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// part is the size at which the S3 store begins to send a body in parts: the lengths around
// it are tried on every store.
const part = 8 << 20

// Run runs the suite. open returns a store for one test; it may be the same place each time
// with another prefix, but must be empty.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, storage.Store)
	}{
		{"check", check},
		{"round trip", roundTrip},
		{"known checksums", knownChecksums},
		{"content type", contentType},
		{"metadata", metadata},
		{"bad options", badOptions},
		{"bad keys", badKeys},
		{"missing", missing},
		{"bodies that end badly", badBodies},
		{"canceled", canceled},
		{"exists", exists},
		{"replace", replace},
		{"tidy", tidy},
		{"race of different bytes", raceOfDifferent},
		{"race of the same bytes", raceOfSame},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// check must pass again and again, and make no object in anybody's way.
func check(t *testing.T, store storage.Store) {
	for range 2 {
		if proof, err := store.Check(t.Context()); err != nil || proof == "" {
			t.Fatal(proof, err)
		}
	}
}

// Body returns size bytes that look random and are the same for the same seed.
func Body(size, seed int) []byte {
	var key [32]byte
	copy(key[:], strconv.Itoa(seed))
	body := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(body) // never fails
	return body
}

// Checksum is computed with the standard library, so that the store's own computation is
// not its own judge.
func Checksum(body []byte) string {
	const nvme = 0x9a6c9329ac4bc9b5 // CRC-64/NVME, bits reversed as hash/crc64 wants them
	sum := crc64.Checksum(body, crc64.MakeTable(nvme))
	return "crc64nvme:" + base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
}

// put must succeed, with the length announced.
func put(t *testing.T, store storage.Store, key string, body []byte, o storage.PutOptions) storage.Object {
	t.Helper()
	o.Size = int64(len(body))
	object, err := store.Put(t.Context(), key, bytes.NewReader(body), o)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func head(t *testing.T, store storage.Store, key string) storage.Object {
	t.Helper()
	object, err := store.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// wantBody reads an object.
func wantBody(t *testing.T, store storage.Store, key string, want []byte) {
	t.Helper()
	r, err := store.Open(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("open %s: got %d bytes %s, want %d bytes %s", key, len(got), Checksum(got), len(want), Checksum(want))
	}
}

// wantNone makes sure that nothing is visible at a key.
func wantNone(t *testing.T, store storage.Store, key string) {
	t.Helper()
	if object, err := store.Head(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("head %s: got %+v, %v, want fs.ErrNotExist", key, object, err)
	}
	r, err := store.Open(t.Context(), key)
	if err == nil {
		_ = r.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open %s: got %v, want fs.ErrNotExist", key, err)
	}
}

// wantObject compares what every store must say about a body; keys and URLs may have a prefix.
func wantObject(t *testing.T, got storage.Object, key string, body []byte) {
	t.Helper()
	if got.Size != int64(len(body)) || got.Checksum != Checksum(body) || !got.AsGiven {
		t.Errorf("%s: got %d bytes %s, as given: %t; want %d bytes %s", key, got.Size, got.Checksum, got.AsGiven, len(body), Checksum(body))
	}
	if !strings.HasSuffix("/"+got.Key, "/"+key) {
		t.Errorf("key: got %s, want %s at its end", got.Key, key)
	}
	scheme, where, _ := strings.Cut(got.URL, "://")
	if scheme != "s3" && scheme != "file" || !strings.HasSuffix(where, "/"+got.Key) {
		t.Errorf("URL: got %s, want s3:// or file:// and %s at its end", got.URL, got.Key)
	}
}
