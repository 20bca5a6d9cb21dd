package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
)

// broken is a body whose reading panics after so many bytes.
type broken struct{ left int }

var errBroken = errors.New("broken")

// Read implements io.Reader.
func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		panic(errBroken)
	}
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

// A handler whose panic is caught costs the others neither memory nor an upload for ever.
func TestS3PanicLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1, part, part + 1, 3*part + 1} {
		t.Run(fmt.Sprintf("after %d bytes", before), func(t *testing.T) {
			t.Parallel()
			sink := &storagetest.Sink{}
			store := openSink(t, sink, storage.LeastCopyMemory)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for range 3 {
				func() {
					defer func() {
						if r := recover(); r != errBroken { //nolint:errorlint // the very value
							t.Errorf("recovered %v", r)
						}
					}()
					_, err := store.Put(ctx, "j1/1.mp4", &broken{before}, storage.PutOptions{Size: -1})
					t.Errorf("got %v and no panic", err)
				}()
			}
			if n := sink.Uploads(); n != 0 {
				t.Errorf("%d uploads are left", n)
			}
			if _, err := store.Put(ctx, "j1/1.mp4", bytes.NewReader(storagetest.Body(3*part, 1)), storage.PutOptions{Size: -1}); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// silent is a body that sends nothing more after so many bytes, until it is closed.
type silent struct {
	left   int
	closed chan struct{}
	once   sync.Once
}

// Read implements io.Reader.
func (s *silent) Read(p []byte) (int, error) {
	if s.left == 0 {
		<-s.closed
		return 0, errors.New("closed")
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

// Close implements io.Closer.
func (s *silent) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// What ends a copy ends a read that waits as well, and is what the error says.
func TestS3EndsAReadThatWaits(t *testing.T) {
	t.Parallel()
	t.Run("a part is refused", func(t *testing.T) {
		t.Parallel()
		sink := &storagetest.Sink{Before: func(w http.ResponseWriter, r *http.Request) bool {
			if storagetest.Operation(r) != "UploadPart" {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusForbidden)
			return true
		}}
		_, err := openSink(t, sink, 0).Put(t.Context(), "j1/1.mp4", &silent{left: part + 1, closed: make(chan struct{})}, storage.PutOptions{Size: -1})
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("got %v, want what the store said", err)
		}
	})
	t.Run("nobody wants it any more", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		body := &silent{closed: make(chan struct{})}
		go cancel()
		if _, err := openSink(t, &storagetest.Sink{}, 0).Put(ctx, "j1/1.mp4", body, storage.PutOptions{Size: -1}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	t.Run("all went well", func(t *testing.T) {
		t.Parallel()
		body := &silent{closed: make(chan struct{})}
		if _, err := openSink(t, &storagetest.Sink{}, 0).Put(t.Context(), "j1/1.mp4", readCloser{strings.NewReader("whole"), body}, storage.PutOptions{Size: 5}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-body.closed:
			t.Error("closed, and that is for whoever opened it")
		default:
		}
	})
}

type readCloser struct {
	io.Reader
	io.Closer
}

// What a person must do is said, with the rights that the settings need.
func TestS3Hints(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, url, code, want, not string }{
		{"denied", "s3://media", "AccessDenied", "s3:AbortMultipartUpload and s3:ListBucket", "kms:"},
		{"denied with tags", "s3://media?tag=a=b", "AccessDenied", "for the tags also s3:PutObjectTagging", "kms:"},
		{"denied with a key", "s3://media?sse=kms&kms-key=k", "AccessDenied", "for KMS also kms:GenerateDataKey and kms:Decrypt", "PutObjectTagging"},
		{"another time", "s3://media", "RequestTimeTooSkewed", "set the clock of this machine", ""},
		{"something else", "s3://media?tag=a=b", "SlowDown", "SlowDown", "PutObjectTagging"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := openSinkAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusForbidden)
				_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", tt.code)
			}), tt.url, 0)
			_, err := store.Put(t.Context(), "j1/1.mp4", strings.NewReader("x"), storage.PutOptions{Size: 1})
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

// What net/http says of a redirect is not repeated.
func TestS3RedirectToNowhere(t *testing.T) {
	t.Parallel()
	store := openSink(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Location"] = []string{"/bad%zz?X-Amz-Signature=canary"}
		w.WriteHeader(http.StatusTemporaryRedirect)
	}), 0)
	_, err := store.Head(t.Context(), "j1/1.mp4")
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "a redirect that can't be read") {
		t.Errorf("got %v", err)
	}
}
