package magichour

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A host serves one file as an object store does, but for what its script says about the next requests.
type host struct {
	mu     sync.Mutex
	file   []byte
	tag    string
	script []trick
	asked  []string // "range, if-range" of each request
}

// A trick does something to an answer; if it answers itself it reports so.
type trick func(h *host, w http.ResponseWriter, r *http.Request) bool

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, strings.Trim(r.Header.Get("Range")+", "+r.Header.Get("If-Range"), ", "))
	var next trick
	if len(h.script) > 0 {
		next, h.script = h.script[0], h.script[1:]
	}
	h.mu.Unlock()
	if next != nil && next(h, w, r) {
		return
	}
	h.serve(w, r)
}

func (h *host) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "video/mp4")
	if h.tag != "" {
		w.Header().Set("ETag", h.tag)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(h.file))
}

// cutAfter breaks the connection after so many bytes of a body.
func cutAfter(n int) trick {
	return func(h *host, w http.ResponseWriter, r *http.Request) bool {
		h.serve(&cutting{w, n}, r)
		return true
	}
}

type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// chunkedAfter sends without a length, and breaks off after n bytes.
func chunkedAfter(n int) trick {
	return func(h *host, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("ETag", h.tag)
		_, _ = w.Write(h.file[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func status(code int) trick {
	return func(_ *host, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(code)
		return true
	}
}

// changes gives the file other bytes of the same length, and another tag.
func changes(h *host, _ http.ResponseWriter, _ *http.Request) bool {
	h.file, h.tag = bytes.Repeat([]byte("x"), len(h.file)), `"other"`
	return false
}

// partial answers with a range of its own choice.
func partial(contentRange, tag string) trick {
	return func(h *host, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Range", contentRange)
		w.Header().Set("ETag", tag)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(h.file[len(h.file)/2:])
		return true
	}
}

func withoutRanges(h *host, w http.ResponseWriter, r *http.Request) bool {
	r.Header.Del("Range")
	h.serve(w, r)
	return true
}

func silent(_ *host, _ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

// stallsAfter sends n bytes and then nothing more.
func stallsAfter(n int) trick {
	return func(h *host, w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "video/mp4")
		w.Header().Set("ETag", h.tag)
		w.Header().Set("Content-Length", strconv.Itoa(len(h.file)))
		_, _ = w.Write(h.file[:n])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
}

func repeat(n int, t trick) []trick {
	all := make([]trick, n)
	for i := range all {
		all[i] = t
	}
	return all
}

const fileSize = 200_000

// file is the same bytes every time, and no two pieces of it are equal.
func file() []byte {
	var b bytes.Buffer
	for b.Len() < fileSize {
		_, _ = fmt.Fprintf(&b, "%08d", b.Len())
	}
	return b.Bytes()[:fileSize]
}

// impatient is a client that does not wait long.
func impatient(t *testing.T, h http.Handler) *Client {
	t.Helper()
	c := client(t, h.ServeHTTP)
	c.pause, c.IdleLimit = time.Microsecond, 200*time.Millisecond
	return c
}

func TestResume(t *testing.T) {
	t.Parallel()
	const tag = `"first"`
	tests := []struct {
		name   string
		tag    string
		script []trick
		want   error    // nil: the file comes whole
		asked  []string // nil: whatever
	}{
		{"cut once", tag, []trick{cutAfter(1000)}, nil, []string{"", `bytes=1000-, "first"`}},
		{"cut again and again", tag, []trick{cutAfter(1000), cutAfter(50_000), cutAfter(0), cutAfter(1)}, nil,
			[]string{"", `bytes=1000-, "first"`, `bytes=51000-, "first"`, `bytes=51000-, "first"`, `bytes=51001-, "first"`}},
		{"cut before the first byte", tag, []trick{cutAfter(0)}, nil, []string{"", `bytes=0-, "first"`}},
		{"cut at the last byte", tag, []trick{cutAfter(fileSize - 1)}, nil, []string{"", `bytes=199999-, "first"`}},
		{"no length, cut", tag, []trick{chunkedAfter(70_000)}, nil, []string{"", `bytes=70000-, "first"`}},
		{"no length, cut before the mark of its end", tag, []trick{chunkedAfter(fileSize)}, nil, []string{"", `bytes=200000-, "first"`}},
		{"stands still", tag, []trick{stallsAfter(1000)}, nil, []string{"", `bytes=1000-, "first"`}},
		{"the host is away for a moment", tag, []trick{cutAfter(10), status(503), status(429), status(500)}, nil, nil},
		{"changes", tag, []trick{cutAfter(1000), changes}, ErrChanged, []string{"", `bytes=1000-, "first"`}},
		{"knows no ranges", tag, []trick{cutAfter(1000), withoutRanges}, ErrChanged, nil},
		{"another range", tag, []trick{cutAfter(1000), partial("bytes 999-199999/200000", tag)}, ErrChanged, nil},
		{"another length", tag, []trick{cutAfter(fileSize / 2), partial("bytes 100000-199999/200001", tag)}, ErrChanged, nil},
		{"another tag", tag, []trick{cutAfter(fileSize / 2), partial("bytes 100000-199999/200000", `"other"`)}, ErrChanged, nil},
		{"an encoded rest", tag, []trick{cutAfter(fileSize / 2), func(h *host, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			return partial("bytes 100000-199999/200000", tag)(h, w, r)
		}}, ErrChanged, nil},
		{"no range told", tag, []trick{cutAfter(fileSize / 2), partial("", tag)}, ErrChanged, nil},
		{"shorter than before", tag, []trick{cutAfter(fileSize / 2), func(h *host, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", "bytes */1000")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}}, ErrChanged, nil},
		{"a weak tag", `W/"first"`, []trick{cutAfter(1000)}, io.ErrUnexpectedEOF, []string{""}},
		{"no tag", "", []trick{cutAfter(1000)}, io.ErrUnexpectedEOF, []string{""}},
		{"does not get on", tag, append([]trick{cutAfter(1000)}, repeat(100, cutAfter(0))...), io.ErrUnexpectedEOF,
			append([]string{""}, strings.Split(strings.Repeat(`bytes=1000-, "first";`, mostTries), ";")[:mostTries]...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &host{file: file(), tag: tt.tag, script: tt.script}
			c := impatient(t, h)
			media, err := c.Open(t.Context(), Download{URL: c.base.String() + "/v.mp4?sig=canary"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(media.Body)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want == nil && !bytes.Equal(got, file()) {
				t.Errorf("got %d bytes, and not those of the file", len(got))
			}
			if !bytes.HasPrefix(file(), got) {
				t.Error("what came is not the beginning of the file")
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("a signature in %q", err)
			}
			if err := media.Body.Close(); err != nil {
				t.Error(err)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if tt.asked != nil && fmt.Sprint(h.asked) != fmt.Sprint(tt.asked) {
				t.Errorf("asked for %q, want %q", h.asked, tt.asked)
			}
		})
	}
}

// TestResumeAsLongAsItGetsOn: no number of breaks ends a download that gets on.
func TestResumeAsLongAsItGetsOn(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("0123456789abcdef"), triesPer) // 1 MiB
	h := &host{file: big, tag: `"first"`, script: repeat(50, cutAfter(triesPer/4))}
	c := impatient(t, h)
	media, err := c.Open(t.Context(), Download{URL: c.base.String() + "/v.mp4"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(media.Body); err == nil {
		t.Errorf("a sixteenth at a time earns no try: got %d bytes and no error", len(got))
	}
	_ = media.Body.Close()
	h.script = repeat(15, cutAfter(triesPer))
	if media, err = c.Open(t.Context(), Download{URL: c.base.String() + "/v.mp4"}, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(media.Body); err != nil || !bytes.Equal(got, big) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	_ = media.Body.Close()
}

// TestFreshURL: a URL may expire at any time.
func TestFreshURL(t *testing.T) {
	t.Parallel()
	errGone := errors.New("the project is gone")
	for _, code := range []int{401, 403, 404, 410} {
		tests := []struct {
			name   string
			script []trick
			fresh  error
			want   error
			asked  int // for fresh URLs
		}{
			{"at once", []trick{status(code)}, nil, nil, 1},
			{"in the middle", []trick{cutAfter(1000), status(code)}, nil, nil, 1},
			{"twice", []trick{status(code), cutAfter(70_000), status(code)}, nil, nil, 2},
			{"for ever", []trick{status(code), status(code)}, nil, ErrRefused, 1},
			{"for ever in the middle", append([]trick{cutAfter(1000)}, repeat(100, status(code))...), nil, ErrRefused, mostTries},
			{"and there is none", []trick{cutAfter(1000), status(code)}, errGone, errGone, 1},
		}
		for _, tt := range tests {
			t.Run(fmt.Sprint(code, " ", tt.name), func(t *testing.T) {
				t.Parallel()
				h := &host{file: file(), tag: `"first"`, script: tt.script}
				c := impatient(t, h)
				fresh := 0
				got, err := readAll(t.Context(), c, func(context.Context) (Download, error) {
					fresh++
					return Download{URL: fmt.Sprintf("%s/v.mp4?sig=canary-%d", c.base, fresh)}, tt.fresh
				})
				if !errors.Is(err, tt.want) || tt.want == nil && !bytes.Equal(got, file()) {
					t.Errorf("got %d bytes, %v; want %v", len(got), err, tt.want)
				}
				if fresh != tt.asked {
					t.Errorf("asked for %d fresh URLs, want %d", fresh, tt.asked)
				}
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("a signature in %q", err)
				}
			})
		}
	}
}

func readAll(ctx context.Context, c *Client, fresh func(context.Context) (Download, error)) ([]byte, error) {
	media, err := c.Open(ctx, Download{URL: c.base.String() + "/v.mp4?sig=canary"}, fresh)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(media.Body)
	return got, errors.Join(err, media.Body.Close())
}

// TestStalled: silence ends a try, and a context ends all.
func TestStalled(t *testing.T) {
	t.Parallel()
	h := &host{file: file(), tag: "", script: []trick{stallsAfter(10)}}
	if got, err := readAll(t.Context(), impatient(t, h), nil); !errors.Is(err, ErrStalled) || len(got) != 10 {
		t.Errorf("got %d bytes, %v; want ErrStalled", len(got), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	h = &host{file: file(), tag: `"first"`, script: []trick{cutAfter(10), func(h *host, w http.ResponseWriter, r *http.Request) bool {
		cancel()
		return silent(h, w, r)
	}}}
	if _, err := readAll(ctx, impatient(t, h), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if len(h.asked) != 2 {
		t.Errorf("asked %d times, want no further one", len(h.asked))
	}
}

// TestMediaRequests: what a media host learns of us.
func TestMediaRequests(t *testing.T) {
	t.Parallel()
	h := &host{file: file(), tag: `"first"`, script: []trick{
		func(_ *host, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return true
		},
		func(_ *host, _ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/elsewhere" || r.Header.Get("Referer") != "" || r.Header.Get("Authorization") != "" || r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("%s was sent %v", r.URL, r.Header)
			}
			return false
		},
	}}
	if got, err := readAll(t.Context(), impatient(t, h), nil); err != nil || !bytes.Equal(got, file()) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	encoded := &host{file: file(), script: []trick{func(_ *host, w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Encoding", "gzip")
		return false
	}}}
	if _, err := readAll(t.Context(), impatient(t, encoded), nil); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("encoded: got %v, want it refused", err)
	}
}

func TestContentRange(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text             string
		from, end, total int64
		ok               bool
	}{
		{"bytes 5-9/10", 5, 10, 10, true},
		{"bytes 5-7/10", 5, 8, 10, true},
		{"bytes 5-9/*", 5, 10, -1, true},
		{"bytes */10", -1, -1, 10, true},
		{"bytes x-9/10", 0, 0, 0, false},
		{"bytes 5-x/10", 0, 0, 0, false},
		{"bytes 5-/10", 0, 0, 0, false},
		{"bytes 5-9", 0, 0, 0, false},
		{"items 5-9/10", 0, 0, 0, false},
		{"", 0, 0, 0, false},
	}
	for _, tt := range tests {
		from, end, total, ok := contentRange(tt.text)
		if ok != tt.ok || ok && (from != tt.from || end != tt.end || total != tt.total) {
			t.Errorf("%q: got %d, %d, %d, %t", tt.text, from, end, total, ok)
		}
	}
}

// TestMediaOverTLS: each file has a connection of its own, also where the host would rather speak HTTP/2.
func TestMediaOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(&host{file: file(), script: []trick{func(_ *host, _ http.ResponseWriter, r *http.Request) bool {
		if r.ProtoMajor != 1 {
			t.Errorf("came over %s", r.Proto)
		}
		return false
	}}})
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := clientAt(t, server.URL)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	c.media.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	if got, err := readAll(t.Context(), c, nil); err != nil || !bytes.Equal(got, file()) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
