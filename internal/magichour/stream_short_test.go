package magichour

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// part answers with a range and so many bytes of the file. Without a length it marks its end in no way.
func part(contentRange string, from, n, length int) trick {
	return func(h *host, w http.ResponseWriter, _ *http.Request) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return false
		}
		defer func() { _ = conn.Close() }()
		head := "HTTP/1.1 206 Partial Content\r\nContent-Range: " + contentRange + "\r\nETag: " + h.tag + "\r\nConnection: close\r\n"
		if length >= 0 {
			head += fmt.Sprintf("Content-Length: %d\r\n", length)
		}
		_, _ = conn.Write(append([]byte(head+"\r\n"), h.file[from:from+n]...))
		return true
	}
}

func nothingMore(h *host, w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("ETag", h.tag)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(h.file)))
	w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	return true
}

// TestShortRanges: whatever ranges a host answers with, a file is whole or an error.
func TestShortRanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		script []trick
		want   error
		asked  int
	}{
		{"no length, then a short range", []trick{chunkedAfter(70_000), part("bytes 70000-99999/200000", 70_000, 30_000, 30_000)}, nil, 3},
		{"no length, then a range that is cut and marks no end", []trick{chunkedAfter(70_000), part("bytes 70000-199999/200000", 70_000, 30_000, -1)}, nil, 3},
		{"a length, then a short range", []trick{cutAfter(70_000), part("bytes 70000-99999/200000", 70_000, 30_000, 30_000)}, nil, 3},
		{"a length, then short ranges of who knows what", []trick{cutAfter(70_000), part("bytes 70000-99999/*", 70_000, 30_000, 30_000)}, nil, 3},
		{"no length, then a range that is all", []trick{chunkedAfter(70_000), part("bytes 70000-199999/200000", 70_000, 130_000, -1)}, nil, 2},
		{"nobody ever says how long it is", []trick{chunkedAfter(70_000), part("bytes 70000-99999/*", 70_000, 30_000, 30_000)}, ErrChanged, 2},
		{"nor where it ends", []trick{chunkedAfter(70_000), part("bytes 70000-199999/*", 70_000, 30_000, -1)}, ErrChanged, 2},
		{"a range that is longer than the file", []trick{chunkedAfter(70_000), part("bytes 70000-99999/100000", 70_000, 130_000, -1)}, ErrChanged, 2},
		{"a range beyond the file", []trick{chunkedAfter(70_000), part("bytes 70000-99999/60000", 70_000, 30_000, 30_000)}, ErrChanged, 2},
		{"lengths that differ", []trick{chunkedAfter(70_000), part("bytes 70000-99999/200000", 70_000, 30_000, 30_000), part("bytes 100000-149999/150000", 100_000, 50_000, 50_000)}, ErrChanged, 3},
		{"an end before the length", []trick{cutAfter(70_000), func(h *host, w http.ResponseWriter, r *http.Request) bool {
			return nothingMore(&host{file: h.file[:70_000], tag: h.tag}, w, r)
		}}, ErrChanged, 2},
		{"the end of another file", []trick{chunkedAfter(fileSize), func(h *host, w http.ResponseWriter, r *http.Request) bool {
			return nothingMore(&host{file: h.file, tag: `"other"`}, w, r)
		}}, ErrChanged, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &host{file: file(), tag: `"first"`, script: tt.script}
			got, err := readAll(t.Context(), impatient(t, h), nil)
			if !errors.Is(err, tt.want) || tt.want == nil && !bytes.Equal(got, file()) {
				t.Errorf("got %d bytes, %v; want %v", len(got), err, tt.want)
			}
			if !bytes.HasPrefix(file(), got) {
				t.Error("what came is not the beginning of the file")
			}
			if len(h.asked) != tt.asked {
				t.Errorf("asked for %q, want %d requests", h.asked, tt.asked)
			}
		})
	}
}

// TestClosedWhileRead: whoever needs no more of a file does not wait for a host that is silent.
func TestClosedWhileRead(t *testing.T) {
	t.Parallel()
	for name, script := range map[string][]trick{"in the body": {stallsAfter(10)}, "before an answer": {cutAfter(10), silent}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			last := script[len(script)-1]
			h := &host{file: file(), tag: `"first"`, script: append(script[:len(script)-1:len(script)-1], func(h *host, w http.ResponseWriter, r *http.Request) bool {
				close(reached)
				return last(h, w, r)
			})}
			c := impatient(t, h)
			c.IdleLimit = time.Hour
			media, err := c.Open(t.Context(), Download{URL: c.base.String() + "/v.mp4"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, media.Body)
				ended <- err
			}()
			<-reached
			if err := media.Body.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
		})
	}
}

// TestRedirectToNowhere: it is not the API that has moved, and what a host says in a redirect may be signed.
func TestRedirectToNowhere(t *testing.T) {
	t.Parallel()
	for _, location := range []string{
		"", "/bad%zz?X-Amz-Signature=canary", "/bad%zz#canary", `/bad%zz"canary`, "http://[::1?sig=canary", "http://?sig=canary", "odd://user:can%zzary@host/?sig=canary", "odd://user:canary@host/?sig=canary",
	} {
		for _, script := range [][]trick{{away(location)}, append([]trick{cutAfter(10)}, repeat(mostTries, away(location))...)} {
			h := &host{file: file(), tag: `"first"`, script: script}
			_, err := readAll(t.Context(), impatient(t, h), nil)
			if err == nil || errors.As(err, new(*Error)) || !strings.Contains(err.Error(), "GET /v.mp4: ") || strings.Contains(err.Error(), "canary") {
				t.Errorf("%q: got %v, want an error of no API that names the path and no more", location, err)
			}
		}
	}
}

func away(location string) trick {
	return func(_ *host, w http.ResponseWriter, _ *http.Request) bool {
		w.Header()["Location"] = []string{location}
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// TestRedirectOfTheAPI: its Location is not repeated either.
func TestRedirectOfTheAPI(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Location"] = []string{"/bad%zz?token=canary"}
		w.WriteHeader(http.StatusFound)
	})
	_, err := c.Account(t.Context())
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"get http://user:p@ss@host/x?y=z now":           "get http://host/x?[redacted] now",
		"invalid proxy address \"socks5://u:p%zz@h:1\"": "invalid proxy address \"socks5://h:1\"",
		"redis://:secret@host:6379/0":                   "redis://host:6379/0",
		"s3://bucket/prefix and file:///dir":            "s3://bucket/prefix and file:///dir",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
