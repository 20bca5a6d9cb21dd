package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// fault is what a bad network or a bad store does to one request. A nil field does nothing.
type fault struct {
	request  func(*http.Request)  // before it reaches the store
	instead  int                  // the store never sees the request; this is the status
	response func(*http.Response) // on the way back
	lost     bool                 // the store has done it, and nobody hears of it
	halfway  bool                 // the connection breaks off in the middle of the body
}

var (
	lostAnswer = fault{lost: true}
	cutHalfway = fault{halfway: true}
	failure    = fault{instead: http.StatusInternalServerError}
	forbidden  = fault{instead: http.StatusForbidden}
	noChecksum = fault{response: func(r *http.Response) {
		for name := range r.Header {
			if strings.HasPrefix(strings.ToLower(name), "x-amz-checksum") {
				r.Header.Del(name)
			}
		}
	}}
	otherChecksum = fault{response: func(r *http.Response) {
		r.Header.Set("X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA=")
	}}
	otherLength = fault{response: func(r *http.Response) { r.Header.Set("Content-Length", "7") }}
	composite   = fault{response: func(r *http.Response) { r.Header.Set("X-Amz-Checksum-Type", "COMPOSITE") }}
	flippedBit  = fault{request: func(r *http.Request) { r.Body = &flips{r.Body} }}
	sayYes      = fault{instead: http.StatusOK}
)

// flips changes the first bit of what is read.
type flips struct{ io.ReadCloser }

// Read implements io.Reader.
func (f *flips) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 {
		p[0] ^= 1
	}
	return n, err
}

// isProbe tells the requests by which a store is tried from those of copies.
func isProbe(r *http.Request) bool { return strings.Contains(r.URL.Path, "/.hourglass-check") }

// faulty puts a proxy in front of a server and returns the server as seen through it.
func faulty(t *testing.T, server testservers.S3, choose func(*http.Request) fault) testservers.S3 {
	t.Helper()
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	type key struct{}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableCompression: true},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
			if f := r.In.Context().Value(key{}).(fault); f.request != nil {
				f.request(r.Out)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			f := r.Request.Context().Value(key{}).(fault)
			if f.response != nil {
				f.response(r)
			}
			if f.lost {
				return errors.New("lost")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := choose(r)
		if f.halfway {
			_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
			panic(http.ErrAbortHandler)
		}
		if f.instead != 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(f.instead)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, f)))
	}))
	t.Cleanup(front.Close)
	server.Endpoint = front.URL
	return server
}

// impatient tries three times, as the SDK does, without its pauses.
func impatient() storage.AWSOption {
	return config.WithRetryer(func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Millisecond, nil })
		})
	})
}

const (
	small = 1000
	large = 8<<20 + 1000 // two parts
)

func TestS3Faults(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	tests := []struct {
		name    string
		size    int
		on      string // the operation that meets the fault
		fault   fault
		times   int64 // 0: always
		want    error // nil: success
		visible bool  // is there an object afterwards?
	}{
		{"put is acknowledged at the second try", small, "PutObject", failure, 1, nil, true},
		{"put answer lost once", small, "PutObject", lostAnswer, 1, nil, true},
		{"put answer always lost", small, "PutObject", lostAnswer, 0, nil, true},
		{"put fails", small, "PutObject", failure, 0, errAny, false},
		{"put breaks off once", small, "PutObject", cutHalfway, 1, nil, true},
		{"put breaks off", small, "PutObject", cutHalfway, 0, errAny, false},
		{"put is damaged on its way", small, "PutObject", flippedBit, 0, errAny, false},
		{"put is forbidden", small, "PutObject", forbidden, 0, errAny, false},
		{"put is not done though acknowledged", small, "PutObject", sayYes, 0, errAny, false},
		{"create fails once", large, "CreateMultipartUpload", failure, 1, nil, true},
		{"create answer lost once", large, "CreateMultipartUpload", lostAnswer, 1, nil, true},
		{"create answer always lost", large, "CreateMultipartUpload", lostAnswer, 0, errAny, false},
		{"create fails", large, "CreateMultipartUpload", failure, 0, errAny, false},
		{"part fails once", large, "UploadPart", failure, 1, nil, true},
		{"part answer lost once", large, "UploadPart", lostAnswer, 1, nil, true},
		{"part answer always lost", large, "UploadPart", lostAnswer, 0, errAny, false},
		{"part breaks off once", large, "UploadPart", cutHalfway, 1, nil, true},
		{"part breaks off", large, "UploadPart", cutHalfway, 0, errAny, false},
		{"part fails", large, "UploadPart", failure, 0, errAny, false},
		{"part is damaged on its way", large, "UploadPart", flippedBit, 0, errAny, false},
		{"complete fails once", large, "CompleteMultipartUpload", failure, 1, nil, true},
		{"complete answer lost once", large, "CompleteMultipartUpload", lostAnswer, 1, nil, true},
		{"complete answer always lost", large, "CompleteMultipartUpload", lostAnswer, 0, nil, true},
		{"complete fails", large, "CompleteMultipartUpload", failure, 0, errAny, false},
		{"head fails once", small, "HeadObject", failure, 1, nil, true},
		{"head fails", small, "HeadObject", failure, 0, errAny, true},
		{"head is forbidden", small, "HeadObject", forbidden, 0, errAny, true},
		{"no checksum", small, "HeadObject", noChecksum, 0, nil, true},
		{"no checksum, in parts", large, "HeadObject", noChecksum, 0, nil, true},
		{"no checksum, damaged when it is read back", small, "HeadObject, GetObject", fault{response: func(r *http.Response) {
			noChecksum.response(r)
			r.Body = &flips{r.Body}
		}}, 0, storage.ErrUnproved, true},
		{"another checksum", small, "HeadObject", otherChecksum, 0, storage.ErrUnproved, true},
		{"another length", small, "HeadObject", otherLength, 0, storage.ErrUnproved, true},
		{"checksum of checksums", large, "HeadObject", composite, 0, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var met atomic.Int64
			seen := faulty(t, server, func(r *http.Request) fault {
				if !strings.Contains(test.on, storagetest.Operation(r)) || isProbe(r) || test.times > 0 && met.Add(1) > test.times {
					return fault{}
				}
				return test.fault
			})
			prefix := strings.NewReplacer(" ", "-", ",", "").Replace(test.name)
			store := openS3(t, seen, "s3://media/"+prefix, impatient())
			body := storagetest.Body(test.size, 1)
			object, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))})
			wantError(t, err, test.want)
			if err == nil && object.Checksum != storagetest.Checksum(body) {
				t.Errorf("checksum: got %s, want %s", object.Checksum, storagetest.Checksum(body))
			}
			_, err = openS3(t, server, "s3://media/"+prefix).Head(t.Context(), "j1/1.mp4")
			if visible := err == nil; visible != test.visible || !visible && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("object is visible: %t (%v), want %t", visible, err, test.visible)
			}
			if test.on == "CreateMultipartUpload" && test.fault.lost {
				// Nobody knows the id of an upload whose answer was lost: Tidy must find it.
				if n, err := openS3(t, server, "s3://media/"+prefix).Tidy(t.Context(), "j1", 0); n == 0 || err != nil {
					t.Errorf("tidy: got %d, %v", n, err)
				}
			}
			wantNoUploads(t, server, prefix+"/")
		})
	}
}

var errAny = errors.New("any error but those of this package")

// wantError also makes sure that errors say where and hold no query and no secret.
func wantError(t *testing.T, err, want error) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Errorf("got %v, want success", err)
		}
		return
	}
	if err == nil {
		t.Error("got success, want an error")
		return
	}
	for _, typed := range []error{storage.ErrUnproved, storage.ErrExists} {
		if errors.Is(err, typed) != errors.Is(want, typed) {
			t.Errorf("is %q: got %v", typed, err)
		}
	}
	if text := err.Error(); !strings.Contains(text, "j1/1.mp4") || strings.ContainsAny(text, "?") || strings.Contains(text, "X-Amz-") {
		t.Errorf("got %q, want the key in it and no query", text)
	}
}

// A worker may be told to stop at any moment. No moment leaves an upload behind, or half an object.
func TestS3CanceledAtEveryRequest(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	for _, on := range []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject", "HeadObject"} {
		for _, when := range []string{"before", "after"} {
			t.Run(on+" "+when, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				seen := faulty(t, server, func(r *http.Request) fault {
					switch {
					case storagetest.Operation(r) != on || isProbe(r):
						return fault{}
					case when == "before":
						cancel()
						return fault{}
					}
					return fault{response: func(*http.Response) { cancel() }}
				})
				prefix, size := strings.ReplaceAll(on+when, " ", "-"), large
				if on == "PutObject" {
					size = small
				}
				body := storagetest.Body(size, 1)
				_, err := openS3(t, seen, "s3://media/"+prefix).Put(ctx, "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(size)})
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
				wantNoUploads(t, server, prefix+"/")
				calm := openS3(t, server, "s3://media/"+prefix)
				object, err := calm.Head(t.Context(), "j1/1.mp4")
				if err == nil && object.Checksum != storagetest.Checksum(body) || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("afterwards there is %+v, %v", object, err)
				}
				if _, err := calm.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(size)}); err != nil {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}
