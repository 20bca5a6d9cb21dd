package magichour

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/operations"
)

// uploadsTo returns a client of an API whose upload URLs lead to the handler.
func uploadsTo(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	media := httptest.NewServer(handler)
	t.Cleanup(media.Close)
	return client(t, answers(200, "", `{"items":[{"upload_url":"`+media.URL+`/api-assets/c1/video.mp4?sig=canary","expires_at":"2026-11-25T00:00:00Z","file_path":"api-assets/c1/video.mp4"}]}`))
}

var mp4 = File{Type: operations.Video, Extension: "mp4", Size: 9}

func TestUpload(t *testing.T) {
	t.Parallel()
	fake := magichourtest.New(magichourtest.Options{})
	if err := fake.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	path, err := clientAt(t, fake.URL()).Upload(t.Context(), mp4, hidden("the bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if got, found := fake.Uploaded(path); !found || string(got.Bytes) != "the bytes" {
		t.Errorf("%s holds %q", path, got.Bytes)
	}
	if totals := fake.Totals(); totals.Uploads != 1 || totals.Violations != 0 {
		t.Errorf("the fake saw %+v", totals)
	}
}

// hidden hides the length of a text, as that of a file or a body is hidden.
func hidden(text string) io.ReadCloser { return io.NopCloser(io.MultiReader(strings.NewReader(text))) }

// TestUploadRequest holds what goes to whom.
func TestUploadRequest(t *testing.T) {
	t.Parallel()
	c := uploadsTo(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" || r.ContentLength != 9 || len(r.TransferEncoding) > 0 || r.Method != http.MethodPut {
			t.Errorf("%s, length %d, encoding %v, authorization %q", r.Method, r.ContentLength, r.TransferEncoding, got)
		}
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != "the bytes" {
			t.Errorf("got %q, %v", got, err)
		}
		w.WriteHeader(http.StatusNoContent) // any 2xx will do
	})
	if path, err := c.Upload(t.Context(), mp4, hidden("the bytes")); err != nil || path != "api-assets/c1/video.mp4" {
		t.Errorf("got %q, %v", path, err)
	}
}

func TestUploadErrors(t *testing.T) {
	t.Parallel()
	takes := func(status int, header, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			answers(status, header, body)(w, r)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		body    string
		status  int   // of an *Error
		is      error // else
	}{
		{"too large for the tier", takes(413, "", ""), "the bytes", 413, nil},
		{"too large, as an object store says it", takes(400, "", "<?xml version=\"1.0\"?><Error><Code>EntityTooLarge</Code></Error>"), "the bytes", 413, nil},
		{"too many requests", takes(429, "Retry-After: 7", ""), "the bytes", 429, nil},
		{"trouble of the host", takes(503, "", "<html>"), "the bytes", 503, nil},
		{"an expired URL is no rejected key", takes(403, "", ""), "the bytes", 0, ErrRefused},
		{"a 401 is none either", takes(401, "", ""), "the bytes", 0, ErrRefused},
		{"any other refusal", takes(400, "", "<Error><Code>RequestTimeout</Code></Error>"), "the bytes", 0, ErrRefused},
		{"a redirect is not followed", func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				takes(302, "Location: /elsewhere", "")(w, r)
			}
		}, "the bytes", 0, ErrRefused},
		{"short", takes(200, "", ""), "the", 0, nil},
		{"long", takes(200, "", ""), "the bytes and more", 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := uploadsTo(t, tt.handler).Upload(t.Context(), mp4, hidden(tt.body))
			var answer *Error
			switch {
			case err == nil:
				t.Fatal("got success")
			case errors.As(err, &answer) != (tt.status != 0), answer != nil && answer.Status != tt.status, tt.is != nil && !errors.Is(err, tt.is):
				t.Errorf("got %v", err)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "api-assets/") {
				t.Errorf("%v shows what is nobody's business", err)
			}
		})
	}
}

func TestUploadURLErrors(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{}`, `{"items":[]}`, `{"items":[{"upload_url":"http://127.0.0.1:1/"}]}`, `{"items":[{"upload_url":"%zz","file_path":"p"}]}`, `{"items":[{"upload_url":"","file_path":"p"}]}`,
		`{"items":[{"upload_url":"http://h/","file_path":"p"},{"upload_url":"http://h/","file_path":"p"}]}`} {
		_, err := client(t, answers(200, "", answer)).Upload(t.Context(), mp4, hidden("the bytes"))
		var lost *TransportError
		if !errors.As(err, &lost) {
			t.Errorf("%s: got %v", answer, err)
		}
	}
	var refused *Error
	if _, err := client(t, answers(401, "", `{}`)).Upload(t.Context(), mp4, hidden("")); !errors.As(err, &refused) || refused.Status != 401 {
		t.Errorf("a rejected key: got %v", err)
	}
	if _, err := client(t, answers(200, "", `{}`)).Upload(t.Context(), File{Type: operations.Video, Extension: "mp4"}, hidden("")); err == nil {
		t.Error("an empty file was uploaded")
	}
}

// TestUploadNotTaken: an answer that comes before the bytes says nothing of them.
func TestUploadNotTaken(t *testing.T) {
	t.Parallel()
	c := uploadsTo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusOK)
	})
	size := int64(64 << 20)
	if _, err := c.Upload(t.Context(), File{operations.Video, "mp4", size}, io.NopCloser(io.LimitReader(zeros{}, size))); err == nil {
		t.Error("got success")
	}
}

type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUploadStalls(t *testing.T) {
	t.Parallel()
	let := make(chan struct{})
	never := func(_ http.ResponseWriter, r *http.Request) { // takes nothing
		select {
		case <-let:
		case <-r.Context().Done():
		}
	}
	source, end := io.Pipe()
	defer func() { close(let); _ = end.Close() }() // before the hosts are closed, which wait for their handlers
	tests := []struct {
		name string
		body io.ReadCloser
		size int64
	}{
		{"the host takes nothing", io.NopCloser(zeros{}), 1 << 30},
		{"nothing comes from the source", source, 9},
	}
	for _, tt := range tests {
		c := uploadsTo(t, never)
		c.IdleLimit = 50 * time.Millisecond
		if _, err := c.Upload(t.Context(), File{operations.Video, "mp4", tt.size}, tt.body); !errors.Is(err, ErrUploadStalled) {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	body := io.NopCloser(io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), cancels(cancel), zeros{}))
	if _, err := uploadsTo(t, never).Upload(ctx, File{operations.Video, "mp4", 1 << 30}, body); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: got %v", err)
	}
}

type cancels func()

// Read implements io.Reader.
func (c cancels) Read([]byte) (int, error) { c(); return 0, io.EOF }

func TestContentID(t *testing.T) {
	t.Parallel()
	id := func(base, key string, f File, content string) string {
		c, err := New(base, func() (string, error) { return key, nil })
		if err != nil {
			t.Fatal(err)
		}
		name, err := c.ContentID(f, content)
		if err != nil || strings.Contains(name, key) || len(name) != 64 {
			t.Errorf("got %q, %v", name, err)
		}
		return name
	}
	const api, key, content = "https://api.invalid", "mhk_1", `s3["bucket","key"]`
	first := id(api, key, mp4, content)
	if again := id(api+"/", key, mp4, content); again != first {
		t.Error("the same content has two names")
	}
	for name, other := range map[string]string{
		"another key":       id(api, "mhk_2", mp4, content),
		"another API":       id("https://fake.invalid", key, mp4, content),
		"another type":      id(api, key, File{operations.Audio, "mp4", 9}, content),
		"another extension": id(api, key, File{operations.Video, "mov", 9}, content),
		"other content":     id(api, key, mp4, content+" "),
	} {
		if other == first {
			t.Errorf("%s has the same name", name)
		}
	}
	c, err := New(api, func() (string, error) { return "", errors.New("no such file") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ContentID(mp4, content); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: got %v", err)
	}
}
