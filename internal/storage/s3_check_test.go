package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestS3Check(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	wrong := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "-wrong") }
	tests := []struct {
		name   string
		choose func(*http.Request) fault
		want   string // in the proof, or else in the error
	}{
		{"a good store", func(*http.Request) fault { return fault{} }, string(storage.Verified)},
		{"echoes any checksum", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" && wrong(r) {
				return sayYes
			}
			return fault{}
		}, string(storage.ReadBack)},
		{"echoes the checksum of a part", func(r *http.Request) fault {
			if storagetest.Operation(r) == "UploadPart" {
				return sayYes
			}
			return fault{}
		}, string(storage.ReadBack)},
		{"echoes the checksum of parts", func(r *http.Request) fault {
			if storagetest.Operation(r) == "CompleteMultipartUpload" {
				return sayYes
			}
			return fault{}
		}, string(storage.ReadBack)},
		{"says 400 whatever it is asked", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" {
				return fault{instead: http.StatusBadRequest}
			}
			return fault{}
		}, "400"},
		{"answers no checksum", func(r *http.Request) fault {
			if storagetest.Operation(r) == "HeadObject" {
				return noChecksum
			}
			return fault{}
		}, string(storage.ReadBack)},
		{"overwrites", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" && !wrong(r) {
				return sayYes
			}
			return fault{}
		}, "If-None-Match"},
		{"does not let us list", func(r *http.Request) fault {
			if storagetest.Operation(r) == "HeadObject" {
				return forbidden
			}
			return fault{}
		}, "s3:ListBucket"},
		{"does not let us write", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" {
				return forbidden
			}
			return fault{}
		}, "403"},
		{"is ill", func(*http.Request) fault { return failure }, "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := "s3://media/" + strings.ReplaceAll(test.name, " ", "-")
			proof, err := openS3(t, faulty(t, server, test.choose), url, impatient()).Check(t.Context())
			if said := fmt.Sprint(proof, err); !strings.Contains(said, test.want) || (proof == "") == (err == nil) {
				t.Errorf("got %q, want %q in it", said, test.want)
			}
		})
	}
}

func TestS3CheckWithoutCredentials(t *testing.T) {
	t.Parallel()
	none := config.WithCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("none found")
	}))
	_, err := openS3(t, testservers.S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1"}, "s3://media", none).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set AWS_ACCESS_KEY_ID") {
		t.Errorf("got %v, want what to set", err)
	}
}

// A store that repeats what it is told proves nothing: what it was given is read back, before anybody has
// asked how it is.
func TestS3EchoingStore(t *testing.T) {
	t.Parallel()
	for _, size := range []int{small, large} {
		for _, damaged := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d bytes, damaged: %t", size, damaged), func(t *testing.T) {
				t.Parallel()
				sink := &storagetest.Sink{Echo: true, Before: func(_ http.ResponseWriter, r *http.Request) bool {
					if damaged && r.ContentLength >= small {
						r.Body = &flips{r.Body}
					}
					return false
				}}
				store := openSink(t, sink, 0)
				body := storagetest.Body(size, 1)
				object, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(size)})
				if damaged {
					wantError(t, err, storage.ErrUnproved)
				} else if err != nil || object.Checksum != storagetest.Checksum(body) {
					t.Errorf("got %s, %v", object.Checksum, err)
				}
				object, err = store.Head(t.Context(), "j1/1.mp4")
				if err != nil || (object.Checksum == storagetest.Checksum(body)) == damaged || object.AsGiven {
					t.Errorf("head: got %s, %v", object.Checksum, err)
				}
				if proof, err := store.Check(t.Context()); proof != storage.ReadBack || err != nil {
					t.Errorf("check: got %q, %v", proof, err)
				}
			})
		}
	}
}

// One 400 has many reasons, and makes no store that verifies.
func TestS3RefusesOnceForAnotherReason(t *testing.T) {
	t.Parallel()
	var refused atomic.Bool
	sink := &storagetest.Sink{Echo: true, Before: func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "-wrong") && refused.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, "<Error><Code>ExpiredToken</Code></Error>")
			return true
		}
		if strings.HasSuffix(r.URL.Path, "1.mp4") && r.Method == http.MethodPut {
			r.Body = &flips{r.Body}
		}
		return false
	}}
	_, err := openSink(t, sink, 0).Put(t.Context(), "j1/1.mp4", strings.NewReader("x"), storage.PutOptions{Size: 1})
	wantError(t, err, storage.ErrUnproved)
}

// A store that is ill when it is to be tried is not believed for that.
func TestS3NotTriedYet(t *testing.T) {
	t.Parallel()
	sink := &storagetest.Sink{Before: func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, ".hourglass-check") {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	}}
	_, err := openSink(t, sink, 0).Put(t.Context(), "j1/1.mp4", strings.NewReader("x"), storage.PutOptions{Size: 1})
	wantError(t, err, errAny)
}
