package storage_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// openSink returns a store in a sink, whose copies may hold so many bytes.
func openSink(t *testing.T, sink http.Handler, memory int64) storage.Store {
	t.Helper()
	return openSinkAt(t, sink, "s3://media", memory)
}

func openSinkAt(t *testing.T, sink http.Handler, url string, memory int64) storage.Store {
	t.Helper()
	front := httptest.NewServer(sink)
	t.Cleanup(front.Close)
	return openS3With(t, testservers.S3{Endpoint: front.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "b"}, url, memory, impatient())
}

// part is the size from which on a body goes in parts.
const part = 8 << 20

// Copies that together want far more than there is take turns, and all come to their end.
func TestS3MemoryIsShared(t *testing.T) {
	t.Parallel()
	sink := &storagetest.Sink{}
	store := openSink(t, sink, storage.LeastCopyMemory)
	if _, err := store.Check(t.Context()); err != nil { // its few bytes are no copy
		t.Fatal(err)
	}
	body := storagetest.Body(5*part+3, 1)
	var copies sync.WaitGroup
	for i := range 12 {
		copies.Go(func() {
			size := int64(len(body))
			if i%2 == 0 {
				size = -1
			}
			object, err := store.Put(t.Context(), fmt.Sprintf("j%d/1.mp4", i), bytes.NewReader(body), storage.PutOptions{Size: size})
			if err != nil || object.Checksum != storagetest.Checksum(body) {
				t.Errorf("copy %d: got %s, %v", i, object.Checksum, err)
			}
		})
	}
	copies.Wait()
	if most := sink.MostUnderWay(); most > storage.LeastCopyMemory {
		t.Errorf("%d bytes were under way at once, with memory for %d", most, storage.LeastCopyMemory)
	}
}

// Several parts are on their way at the same time, and arrive in any order.
func TestS3PartsInParallel(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 16)
	held := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(held) })
	sink := &storagetest.Sink{Before: func(_ http.ResponseWriter, r *http.Request) bool {
		if storagetest.Operation(r) == "UploadPart" {
			arrived <- struct{}{}
			<-held
		}
		return false
	}}
	store := openSink(t, sink, 0)
	t.Cleanup(letGo) // before the server is closed
	body := storagetest.Body(6*part, 1)
	done := make(chan error, 1)
	go func() {
		_, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))})
		done <- err
	}()
	for i := range 4 {
		select {
		case <-arrived:
		case <-time.After(30 * time.Second):
			t.Fatalf("only %d parts at once", i)
		}
	}
	letGo()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whatever ends a copy, and whenever: nothing of it stays, and its memory is there for the next one.
func TestS3FailedPartsLeaveNothing(t *testing.T) {
	t.Parallel()
	body := storagetest.Body(5*part+3, 1)
	for number := 1; number <= 6; number++ {
		for _, test := range []struct {
			name string
			hurt func(w http.ResponseWriter, r *http.Request, cancel context.CancelFunc) bool
		}{
			{"refused", func(w http.ResponseWriter, _ *http.Request, _ context.CancelFunc) bool {
				w.WriteHeader(http.StatusForbidden)
				return true
			}},
			{"cut half-way", func(_ http.ResponseWriter, r *http.Request, _ context.CancelFunc) bool {
				_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
				panic(http.ErrAbortHandler)
			}},
			{"canceled", func(_ http.ResponseWriter, _ *http.Request, cancel context.CancelFunc) bool {
				cancel()
				return false
			}},
		} {
			t.Run(fmt.Sprintf("part %d is %s", number, test.name), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var well atomic.Bool
				sink := &storagetest.Sink{Before: func(w http.ResponseWriter, r *http.Request) bool {
					if well.Load() || r.URL.Query().Get("partNumber") != fmt.Sprint(number) {
						return false
					}
					return test.hurt(w, r, cancel)
				}}
				store := openSink(t, sink, storage.LeastCopyMemory)
				if _, err := store.Put(ctx, "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))}); err == nil {
					t.Error("got success")
				}
				if n := sink.Uploads(); n != 0 {
					t.Errorf("%d uploads are left", n)
				}
				well.Store(true)
				if _, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: -1}); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		}
	}
}

// A part that is refused ends the reading of the rest, which may be long.
func TestS3StopsReadingWhenAPartFails(t *testing.T) {
	t.Parallel()
	sink := &storagetest.Sink{Before: func(w http.ResponseWriter, r *http.Request) bool {
		if storagetest.Operation(r) == "UploadPart" {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	}}
	_, err := openSink(t, sink, 0).Put(t.Context(), "j1/1.mp4", endlessZeros{}, storage.PutOptions{Size: -1})
	if err == nil || errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v, want what the store said", err)
	}
}

type endlessZeros struct{}

// Read implements io.Reader.
func (endlessZeros) Read(p []byte) (int, error) { return len(p), nil }

func TestS3TooLittleMemory(t *testing.T) {
	t.Parallel()
	_, err := storage.Open(t.Context(), "s3://media", storage.Options{CopyMemory: storage.LeastCopyMemory - 1})
	if err == nil || !strings.Contains(err.Error(), "16 MiB") {
		t.Errorf("got %v, want how much is needed", err)
	}
	store := openSink(t, &storagetest.Sink{}, storage.LeastCopyMemory)
	_, err = store.Put(t.Context(), "j1/1.mp4", endlessZeros{}, storage.PutOptions{Size: 1 << 40})
	if err == nil || !strings.Contains(err.Error(), "HOURGLASS_COPY_MEMORY") {
		t.Errorf("a body of a TiB: got %v, want what to set", err)
	}
}

// Over TLS too every part has a connection of its own, also where the store would rather speak HTTP/2.
func TestS3NoHTTP2(t *testing.T) {
	t.Parallel()
	front := httptest.NewUnstartedServer(&storagetest.Sink{Before: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.ProtoMajor != 1 {
			t.Errorf("%s came over %s", storagetest.Operation(r), r.Proto)
		}
		return false
	}})
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	store := openS3(t, testservers.S3{Endpoint: front.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "b"}, "s3://media",
		config.WithCustomCABundle(bytes.NewReader(root)), impatient())
	body := storagetest.Body(3*part, 1)
	if _, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))}); err != nil {
		t.Error(err)
	}
}
