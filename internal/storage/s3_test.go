package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// uploads lists the uploads that are neither complete nor aborted.
func uploads(t *testing.T, server testservers.S3, prefix string) []types.MultipartUpload {
	t.Helper()
	out, err := plainClient(server).ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{
		Bucket: aws.String("media"), Prefix: &prefix,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Uploads
}

// plainClient speaks to a server without anything of ours between.
func plainClient(server testservers.S3) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &server.Endpoint, Region: server.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, ""),
	})
}

// wantNoUploads makes sure that no parts are left that nobody sees and somebody pays for.
func wantNoUploads(t *testing.T, server testservers.S3, prefix string) {
	t.Helper()
	for _, upload := range uploads(t, server, prefix) {
		t.Errorf("left behind: upload of %s", aws.ToString(upload.Key))
	}
}

// waitForUpload waits until one has begun.
func waitForUpload(t *testing.T, server testservers.S3) {
	t.Helper()
	for end := time.After(20 * time.Second); len(uploads(t, server, "")) == 0; {
		select {
		case <-end:
			t.Fatal("no upload has begun")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestS3LeavesNoUploads(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	store := openS3(t, server, "s3://media")
	body := storagetest.Body(large, 1)
	ctx, cancel := context.WithCancel(t.Context())
	tests := []struct {
		name string
		ctx  context.Context
		r    io.Reader
		size int64
	}{
		{"canceled", ctx, io.MultiReader(bytes.NewReader(body), cancels(cancel), strings.NewReader("x")), -1},
		{"short", t.Context(), bytes.NewReader(body), large + 1},
		{"long", t.Context(), bytes.NewReader(body), large - 1},
		{"other bytes stand there", t.Context(), bytes.NewReader(storagetest.Body(large, 2)), large},
	}
	if _, err := store.Put(t.Context(), "other-bytes-stand-there", strings.NewReader("x"), storage.PutOptions{Size: 1}); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if _, err := store.Put(test.ctx, strings.ReplaceAll(test.name, " ", "-"), test.r, storage.PutOptions{Size: test.size}); err == nil {
			t.Errorf("%s: got success", test.name)
		}
	}
	for range 2 { // the second time the same bytes stand there
		if _, err := store.Put(t.Context(), "same", bytes.NewReader(body), storage.PutOptions{Size: large}); err != nil {
			t.Error(err)
		}
	}
	wantNoUploads(t, server, "")
}

type cancels func()

// Read implements io.Reader.
func (c cancels) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}

// An object that another program wrote may have no checksum to compare: then its bytes are compared.
func TestS3ComparesWithoutChecksum(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	seen := faulty(t, server, func(r *http.Request) fault {
		if storagetest.Operation(r) == "HeadObject" {
			return noChecksum
		}
		return fault{}
	})
	body := storagetest.Body(small, 1)
	if _, err := openS3(t, server, "s3://media").Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: small}); err != nil {
		t.Fatal(err)
	}
	store := openS3(t, seen, "s3://media")
	_, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: small})
	wantError(t, err, nil)
	_, err = store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body[1:]), storage.PutOptions{Size: -1})
	wantError(t, err, storage.ErrExists)
}

// A lost answer to a replacement: the old object is no proof of the new one.
func TestS3ReplaceLost(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	tests := []struct {
		name  string
		body  []byte
		fault fault
		want  error
	}{
		{"done, other bytes", []byte("new"), lostAnswer, nil},
		{"not done, other bytes", []byte("new"), failure, errAny},
		{"not done, same bytes, other metadata", []byte("old"), failure, errAny},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := "s3://media/" + strings.NewReplacer(" ", "-", ",", "").Replace(test.name)
			if _, err := openS3(t, server, url).Put(t.Context(), "j1/1.mp4", strings.NewReader("old"), storage.PutOptions{Size: 3}); err != nil {
				t.Fatal(err)
			}
			seen := faulty(t, server, func(r *http.Request) fault {
				if storagetest.Operation(r) == "PutObject" && !isProbe(r) {
					return test.fault
				}
				return fault{}
			})
			_, err := openS3(t, seen, url, impatient()).Put(t.Context(), "j1/1.mp4", bytes.NewReader(test.body), storage.PutOptions{
				Size: 3, Replace: true, Metadata: map[string]string{"project": "new"},
			})
			wantError(t, err, test.want)
		})
	}
}

func TestS3PayloadIsNotHashedOverPlainHTTP(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	seen := faulty(t, server, func(r *http.Request) fault {
		if got := r.Header.Get("X-Amz-Content-Sha256"); got != "UNSIGNED-PAYLOAD" {
			t.Errorf("%s: X-Amz-Content-Sha256: got %s, want UNSIGNED-PAYLOAD", storagetest.Operation(r), got)
		}
		if got := r.Header.Get("Content-Encoding"); got != "" {
			t.Errorf("%s: Content-Encoding: got %s, which older servers refuse", storagetest.Operation(r), got)
		}
		return fault{}
	})
	for _, size := range []int{small, large} {
		store := openS3(t, seen, "s3://media")
		if _, err := store.Put(t.Context(), "j1/"+strings.Repeat("x", size%7+1), bytes.NewReader(storagetest.Body(size, 1)), storage.PutOptions{Size: -1}); err != nil {
			t.Error(err)
		}
	}
}

func TestS3FromTheEnvironment(t *testing.T) { //nolint:paralleltest // it sets the environment
	server := testservers.VersityGW(t, "media")
	for name, value := range server.Env() {
		t.Setenv(name, value)
	}
	store, err := storage.Open(t.Context(), "s3://media/prefix/", storage.Options{PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestS3ErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	wrongKey, wrongSecret, gone := server, server, server
	wrongKey.AccessKey = "nobody"
	wrongSecret.SecretKey = "not-the-secret"
	gone.Endpoint = "http://127.0.0.1:1"
	tests := []struct {
		name, url, want string
		server          testservers.S3
	}{
		{"no bucket", "s3://nowhere", "make the bucket", server},
		{"unknown key", "s3://media", "AWS_ACCESS_KEY_ID", wrongKey},
		{"wrong secret", "s3://media", "AWS_SECRET_ACCESS_KEY", wrongSecret},
		{"nobody there", "s3://media", "connection refused", gone},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := openS3(t, test.server, test.url, impatient())
			_, err := store.Put(t.Context(), "j1/1.mp4", strings.NewReader("x"), storage.PutOptions{Size: 1})
			wantError(t, err, errAny)
			if err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("put: got %q, want %q in it", err, test.want)
			}
			if _, err := store.Check(t.Context()); err == nil || strings.Contains(err.Error(), server.SecretKey) {
				t.Errorf("check: got %v", err)
			}
			if _, err := store.Head(t.Context(), "j1/1.mp4"); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("head: got %v", err)
			}
		})
	}
}

// The store must be able to refuse the whole before it exists: a missing part, a wrong order.
func TestS3CompleteCarriesLengthAndChecksum(t *testing.T) {
	t.Parallel()
	body := storagetest.Body(large, 1)
	want := map[string]string{
		"X-Amz-Checksum-Crc64nvme": strings.TrimPrefix(storagetest.Checksum(body), "crc64nvme:"),
		"X-Amz-Checksum-Type":      "FULL_OBJECT",
		"X-Amz-Mp-Object-Size":     strconv.Itoa(large),
		"If-None-Match":            "*",
	}
	seen := faulty(t, testservers.VersityGW(t, "media"), func(r *http.Request) fault {
		for name, value := range want {
			if got := r.Header.Get(name); storagetest.Operation(r) == "CompleteMultipartUpload" && !isProbe(r) && got != value {
				t.Errorf("%s: got %q, want %q", name, got, value)
			}
		}
		return fault{}
	})
	_, err := openS3(t, seen, "s3://media").Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: large})
	wantError(t, err, nil)
}

// A missing object costs one request, but for now and then a second one: the answer to the first can't say
// that it is the bucket that is missing.
func TestS3MissingCostsOneRequest(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	var gets atomic.Int64
	seen := faulty(t, server, func(r *http.Request) fault {
		if storagetest.Operation(r) == "GetObject" {
			gets.Add(1)
		}
		return fault{}
	})
	store := openS3(t, seen, "s3://media")
	for range 10 {
		if _, err := store.Head(t.Context(), "j1/1.mp4"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	}
	if n := gets.Load(); n != 1 {
		t.Errorf("asked %d times whether the bucket is there, want once", n)
	}
}
