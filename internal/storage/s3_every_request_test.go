package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// A fate is what becomes of a request to a store.
type fate string

const (
	before      fate = "before"         // the connection breaks before the store has seen it
	halfThere   fate = "half-way"       // ... when half of its body has come
	after       fate = "after"          // the store has done it, and no answer comes
	halfAnswer  fate = "half an answer" // ... or a part of one
	unavailable fate = "503"            // the store says that it is not well
)

// meet lets a request meet its fate. The store behind holds every body against its CRC.
func (f fate) meet(store http.Handler, w http.ResponseWriter, r *http.Request) {
	switch f {
	case before:
	case halfThere:
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	case after:
		store.ServeHTTP(httptest.NewRecorder(), r)
	case halfAnswer:
		answer := httptest.NewRecorder()
		store.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		body := answer.Body.Bytes()
		if w.Header().Get("Content-Length") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(max(len(body), 1)))
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
	case unavailable:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	panic(http.ErrAbortHandler)
}

// TestS3EachRequestFailsOnce runs the suite with a store of which each request fails at its first try: before
// the store has seen it, half-way, or after it was done, in turn.
func TestS3EachRequestFailsOnce(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3(t, "media")
	var mu sync.Mutex
	met := map[string]int{} // by operation
	fates := []fate{before, halfThere, after}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), "attempt=1;") {
			server.ServeHTTP(w, r)
			return
		}
		on := storagetest.Operation(r)
		mu.Lock()
		f := fates[met[on]%len(fates)]
		met[on]++
		mu.Unlock()
		if f == after && (on == "CreateMultipartUpload" || on == "AbortMultipartUpload") {
			f = before // an upload whose id nobody learns spoils the suite's counts: TestS3AnyRequestFails has it
		}
		f.meet(server, w, r)
	}))
	t.Cleanup(front.Close)
	t.Cleanup(func() {
		for _, on := range []string{"PutObject", "HeadObject", "GetObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload", "ListMultipartUploads"} {
			if met[on] < len(fates) {
				t.Errorf("only %d of %s have failed", met[on], on)
			}
		}
	})
	seen := testservers.S3{Endpoint: front.URL, Region: "us-east-1", AccessKey: server.AccessKey, SecretKey: "any"}
	var tests atomic.Int64
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return openS3(t, seen, fmt.Sprintf("s3://media/test-%d", tests.Add(1)), impatient())
	})
}

// TestS3AnyRequestFails lets the n-th request of a story fail, once or together with all that follow, for
// every n. What is said to be copied is, and what is not leaves nothing but what Tidy finds.
func TestS3AnyRequestFails(t *testing.T) {
	t.Parallel()
	for _, f := range []fate{before, halfThere, after, halfAnswer, unavailable} {
		for _, forGood := range []bool{false, true} {
			if forGood && f != after && f != unavailable {
				continue // to whoever asks it looks like a store that is not there
			}
			t.Run(fmt.Sprintf("%s, for good: %t", f, forGood), func(t *testing.T) {
				t.Parallel()
				for n := int64(1); ; n += stride {
					s := newStory(t, func(number int64) bool { return number == n || forGood && number > n }, f)
					s.tell()
					if s.requests.Load() < n {
						if n <= 10 {
							t.Errorf("the story has only %d requests", n)
						}
						return
					}
					s.check(fmt.Sprintf("request %d", n), !forGood && f != halfAnswer) // which the SDK does not repeat
				}
			})
		}
	}
}

// A story is what a store is used for, over a network that fails.
type story struct {
	t        *testing.T
	server   *storagetest.S3
	requests atomic.Int64
	seen     storage.Store // through the network
	errs     map[string]error
	read     []byte
}

var (
	smallBody = storagetest.Body(small, 1)
	largeBody = storagetest.Body(large, 2)
)

func newStory(t *testing.T, fails func(number int64) bool, f fate) *story {
	s := &story{t: t, server: storagetest.NewS3(t, "media"), errs: map[string]error{}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails(s.requests.Add(1)) {
			f.meet(s.server, w, r)
		}
		s.server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.seen = openS3(t, testservers.S3{Endpoint: front.URL, Region: "us-east-1", AccessKey: s.server.AccessKey, SecretKey: "any"}, "s3://media", impatient(), config.WithLogger(logging.Nop{}))
	return s
}

func (s *story) tell() {
	ctx := s.t.Context()
	put := func(key string, body []byte, replace bool) {
		_, s.errs[key] = s.seen.Put(ctx, key, bytes.NewReader(body), storage.PutOptions{Size: int64(len(body)), Replace: replace})
	}
	put("j1/1.mp4", smallBody, false)
	put("j1/2.mp4", largeBody, false)
	put("j1/3.mp4", smallBody, true)
	body, err := s.seen.Open(ctx, "j1/1.mp4")
	if err == nil {
		s.read, err = io.ReadAll(body)
		err = errors.Join(err, body.Close())
	}
	s.errs["read"] = err
}

// check looks at what there is, over a network that is well.
func (s *story) check(when string, mustSucceed bool) {
	store := openS3(s.t, testservers.S3{Endpoint: s.server.Endpoint, Region: "us-east-1", AccessKey: s.server.AccessKey, SecretKey: "any"}, "s3://media")
	for key, body := range map[string][]byte{"j1/1.mp4": smallBody, "j1/2.mp4": largeBody, "j1/3.mp4": smallBody} {
		object, err := store.Head(s.t.Context(), key)
		if err == nil && object.Checksum != storagetest.Checksum(body) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Errorf("%s: %s is %+v, %v", when, key, object, err)
		}
		if s.errs[key] == nil && err != nil {
			s.t.Errorf("%s: %s is said to be copied: %v", when, key, err)
		}
	}
	if s.errs["read"] == nil && !bytes.Equal(s.read, smallBody) {
		s.t.Errorf("%s: read %d bytes, and not those that were put", when, len(s.read))
	}
	for what, err := range s.errs {
		if err != nil && mustSucceed && what != "read" { // a body that breaks off is the reader's to read again
			s.t.Errorf("%s: %s: one failure was too much: %v", when, what, err)
		}
	}
	if _, err := store.Tidy(s.t.Context(), "", 0); err != nil || len(s.server.Uploads()) != 0 {
		s.t.Errorf("%s: after the sweep there are %v, %v", when, s.server.Uploads(), err)
	}
	for key, body := range map[string][]byte{"j1/1.mp4": smallBody, "j1/2.mp4": largeBody} {
		if s.errs[key] == nil {
			continue
		}
		if _, err := store.Put(s.t.Context(), key, bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))}); err != nil {
			s.t.Errorf("%s: again: %v", when, err)
		}
	}
}

// TestS3OneWrongByte damages one byte on its way, in either direction. It is refused every time.
func TestS3OneWrongByte(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	tests := []struct {
		name, on string
		size     int
		at       int64 // of the body that the request carries, or the answer
	}{
		{"first byte there", "PutObject", small, 0},
		{"a byte there", "PutObject", small, small / 3},
		{"last byte there", "PutObject", small, small - 1},
		{"first byte of a part there", "UploadPart", large, 0},
		{"a byte of a part there", "UploadPart", large, part / 3},
		{"last byte of a part there", "UploadPart", large, part - 1},
		{"a byte of the last part there", "UploadPart", large, large - part - 1},
		{"first byte back", "GetObject", small, 0},
		{"last byte back", "GetObject", small, small - 1},
		{"first byte of a large one back", "GetObject", large, 0},
		{"a byte of a large one back", "GetObject", large, part + 1},
		{"last byte of a large one back", "GetObject", large, large - 1},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var damaged atomic.Int64
			seen := faulty(t, server, func(r *http.Request) fault {
				if storagetest.Operation(r) != test.on || isProbe(r) {
					return fault{}
				}
				if test.on == "GetObject" {
					return fault{response: func(r *http.Response) { r.Body = &wrongByte{r.Body, test.at, &damaged} }}
				}
				return fault{request: func(r *http.Request) { r.Body = &wrongByte{r.Body, test.at, &damaged} }}
			})
			url := fmt.Sprintf("s3://media/wrong-%d", i)
			store, body := openS3(t, seen, url, impatient()), storagetest.Body(test.size, 1)
			_, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(len(body))})
			if test.on == "GetObject" {
				if err != nil {
					t.Fatal(err)
				}
				err = readObject(t, store)
			} else if _, err := openS3(t, server, url).Head(t.Context(), "j1/1.mp4"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a damaged object is visible: %v", err)
			}
			if err == nil || damaged.Load() == 0 {
				t.Errorf("got %v after %d wrong bytes, want it refused", err, damaged.Load())
			}
			wantNoUploads(t, server, fmt.Sprintf("wrong-%d/", i))
		})
	}
}

func readObject(t *testing.T, store storage.Store) error {
	t.Helper()
	r, err := store.Open(t.Context(), "j1/1.mp4")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// wrongByte damages one byte of a body.
type wrongByte struct {
	io.ReadCloser
	left    int64 // bytes before it
	damaged *atomic.Int64
}

// Read implements io.Reader.
func (b *wrongByte) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left >= 0 && b.left < int64(n) {
		p[b.left] ^= 0x10
		b.damaged.Add(1)
	}
	b.left -= int64(n)
	return n, err
}

// copiedByChild says in the environment of a child of TestS3KilledAtEveryRequest how many bytes it is to copy.
const copiedByChild = "HOURGLASS_TEST_COPY"

// TestS3KilledAtEveryRequest kills a process when one of its requests is on its way, and when the store has
// done what it asked for. Nothing stays but what Tidy finds.
func TestS3KilledAtEveryRequest(t *testing.T) {
	if os.Getenv(copiedByChild) != "" {
		copyAsChild(t)
		return
	}
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	for _, on := range []string{"HeadObject", "PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} {
		for _, when := range []fate{before, after} {
			t.Run(fmt.Sprintf("%s %s", on, when), func(t *testing.T) {
				t.Parallel()
				size := large
				if on == "PutObject" {
					size = small
				}
				prefix := on + string(when)
				killAt(t, server, prefix, size, on, when)
				store, body := openS3(t, server, "s3://media/"+prefix), storagetest.Body(size, 1)
				if on == "UploadPart" && len(uploads(t, server, prefix+"/")) == 0 {
					t.Error("there was nothing to sweep: it was killed too early or too late")
				}
				if _, err := store.Tidy(t.Context(), "j1", 0); err != nil {
					t.Error(err)
				}
				wantNoUploads(t, server, prefix+"/")
				object, err := store.Head(t.Context(), "j1/1.mp4")
				if err == nil && object.Checksum != storagetest.Checksum(body) || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("afterwards there is %+v, %v", object, err)
				}
				if _, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(size)}); err != nil {
					t.Errorf("again: %v", err)
				}
			})
		}
	}
}

// killAt runs a copy in a child process, and kills it at a request.
func killAt(t *testing.T, server testservers.S3, prefix string, size int, on string, when fate) {
	t.Helper()
	reached, killed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stand := func() {
		once.Do(func() { close(reached) })
		<-killed
	}
	seen := faulty(t, server, func(r *http.Request) fault {
		switch {
		case storagetest.Operation(r) != on || isProbe(r):
			return fault{}
		case when == before:
			stand()
			return fault{instead: http.StatusServiceUnavailable} // to nobody
		}
		return fault{response: func(*http.Response) { stand() }}
	})
	child := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestS3KilledAtEveryRequest$") //nolint:gosec // ourselves
	child.Env = append(append(os.Environ(), seen.Environ()...), fmt.Sprintf("%s=%d", copiedByChild, size), "HOURGLASS_TEST_PREFIX="+prefix)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		said, _ := io.ReadAll(bufio.NewReader(out))
		ended <- string(said)
	}()
	select {
	case <-reached:
	case said := <-ended:
		t.Errorf("it ended before: %s", said)
	}
	if err := child.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = child.Wait()
	close(killed)
}

func copyAsChild(t *testing.T) {
	t.Helper()
	var size int
	if _, err := fmt.Sscan(os.Getenv(copiedByChild), &size); err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(t.Context(), "s3://media/"+os.Getenv("HOURGLASS_TEST_PREFIX"), storage.Options{PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(storagetest.Body(size, 1)), storage.PutOptions{Size: int64(size)})
	t.Error("not killed", err)
}
