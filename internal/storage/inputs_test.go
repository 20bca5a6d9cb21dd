package storage_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func openInputs(t *testing.T, server testservers.S3, buckets ...string) *storage.Inputs {
	t.Helper()
	inputs, err := storage.OpenInputs(t.Context(), buckets, storage.Options{PathStyle: true, AWS: []storage.AWSOption{
		config.WithBaseEndpoint(server.Endpoint), config.WithRegion(server.Region),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, "")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return inputs
}

func putObject(t *testing.T, server testservers.S3, bucket, key string, body []byte) {
	t.Helper()
	if _, err := plainClient(server).PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "callers", "secrets")
	inputs := openInputs(t, server, "others", "callers")
	for _, key := range []string{"a/b.mp4", "100% of it? #1 +ü.mp4"} { // a key is no URL
		body := storagetest.Body(large, 1)
		putObject(t, server, "callers", key, body)
		object, err := inputs.Head(t.Context(), "callers", key)
		if err != nil || object.Size != large || object.ETag == "" || object.Key != key {
			t.Fatalf("%s: got %+v, %v", key, object, err)
		}
		r, err := inputs.Open(t.Context(), object)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: got %d bytes, %v", key, len(got), err)
		}
		putObject(t, server, "callers", key, storagetest.Body(large, 2))
		if _, err := inputs.Open(t.Context(), object); !errors.Is(err, storage.ErrInputChanged) {
			t.Errorf("%s: replaced meanwhile: got %v", key, err)
		}
	}
}

func TestInputErrors(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "callers")
	var asked atomic.Int32
	server = faulty(t, server, func(r *http.Request) fault {
		asked.Add(1)
		if strings.Contains(r.URL.Path, "forbidden") {
			return fault{instead: http.StatusForbidden}
		}
		return fault{}
	})
	inputs := openInputs(t, server, "callers", "gone")
	_, err := inputs.Head(t.Context(), "callers", "nothing/here.mp4")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an object that is not there: got %v", err)
	}
	if _, err := inputs.Head(t.Context(), "gone", "nothing/here.mp4"); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("a bucket that is not there: got %v", err)
	}
	if _, err := inputs.Head(t.Context(), "callers", "forbidden.mp4"); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "grant s3:GetObject") {
		t.Errorf("forbidden: got %v", err)
	}
	before := asked.Load()
	var none *storage.Inputs
	for _, reader := range []*storage.Inputs{inputs, openInputs(t, server), none} {
		if _, err := reader.Head(t.Context(), "media", "a.mp4"); !errors.Is(err, storage.ErrForbiddenBucket) {
			t.Errorf("head in another bucket: got %v", err)
		}
		if _, err := reader.Open(t.Context(), storage.Input{Bucket: "media", Key: "a.mp4"}); !errors.Is(err, storage.ErrForbiddenBucket) {
			t.Errorf("open in another bucket: got %v", err)
		}
	}
	if asked.Load() != before {
		t.Error("the server was asked about a bucket that is not to be read")
	}
	nowhere := server
	nowhere.Endpoint = "http://127.0.0.1:1"
	if _, err := openInputs(t, nowhere, "callers").Head(t.Context(), "callers", "nothing/here.mp4"); err == nil || strings.Contains(err.Error(), "here.mp4") {
		t.Errorf("no server: got %v", err)
	}
	if _, err := storage.OpenInputs(t.Context(), []string{"callers/folder"}, storage.Options{}); err == nil {
		t.Error("a folder was taken as a bucket")
	}
}

// TestInputsOfAServerWithoutIfMatch: one that sends whatever stands there is found out.
func TestInputsOfAServerWithoutIfMatch(t *testing.T) {
	t.Parallel()
	for _, other := range []struct{ etag, body string }{{`"2"`, "other"}, {`"1"`, "longer"}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"1"`)
			body := "bytes"
			if r.Method == http.MethodGet {
				w.Header().Set("ETag", other.etag)
				body = other.body
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(server.Close)
		inputs := openInputs(t, testservers.S3{Endpoint: server.URL, AccessKey: "any", SecretKey: "any", Region: "us-east-1"}, "callers")
		object, err := inputs.Head(t.Context(), "callers", "a.mp4")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inputs.Open(t.Context(), object); !errors.Is(err, storage.ErrInputChanged) {
			t.Errorf("%s: got %v", other.body, err)
		}
	}
}
