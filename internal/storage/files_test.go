package storage_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// TestFiles: what a store has kept is read by the URL that the store gave it, whole or in part.
func TestFiles(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	local, err := storage.Open(t.Context(), "file://"+t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	files := storage.NewFiles(options(server, 0))
	for name, store := range map[string]storage.Store{"folder": local, "bucket": openS3(t, server, "s3://media/some prefix")} {
		t.Run(name, func(t *testing.T) {
			body := bytes.Repeat([]byte("0123456789"), 20_000)
			o, err := store.Put(t.Context(), "acme/j 1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))})
			if err != nil {
				t.Fatal(err)
			}
			file, err := files.Open(t.Context(), o.URL)
			if err != nil {
				t.Fatalf("%s: %v", o.URL, err)
			}
			defer func() { _ = file.Close() }()
			if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, body) {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(body))
			}
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Header.Set("Range", "bytes=-4")
			w := httptest.NewRecorder()
			http.ServeContent(w, r, "1.mp4", time.Time{}, file)
			if w.Code != http.StatusPartialContent || w.Body.String() != "6789" {
				t.Errorf("the last four: got %d %q", w.Code, w.Body)
			}
			if _, err := files.Open(t.Context(), o.URL+"x"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("one that is not there: got %v", err)
			}
		})
	}
	for _, bad := range []string{"", "https://example.com/x", "s3://bucket", "file://host/x", "file:///", "file://" + t.TempDir()} {
		if _, err := files.Open(t.Context(), bad); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: got %v, want fs.ErrInvalid", bad, err)
		}
	}
}
