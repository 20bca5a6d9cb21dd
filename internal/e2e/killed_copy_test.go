package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sent counts what workers send to a store, by the key's last segment.
type sent struct {
	mu    sync.Mutex
	bytes map[string]int64
}

func (s *sent) of(name string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes[name]
}

// countPuts returns the address of the S3 server behind a proxy that counts the bodies of what passes.
func countPuts(t *testing.T, endpoint string) (*sent, string) {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	s := &sent{bytes: map[string]int64{}}
	pass := &httputil.ReverseProxy{ErrorHandler: func(http.ResponseWriter, *http.Request, error) {}, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			s.mu.Lock()
			s.bytes[path.Base(r.URL.Path)] += r.ContentLength
			s.mu.Unlock()
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return s, proxy.URL
}

// TestEndedWhileItCopies: a worker is killed, or interrupted, when three files of a job are copied and the
// fourth is half-way in its parts. The next worker copies that one alone, and no upload stays.
func TestEndedWhileItCopies(t *testing.T) {
	t.Parallel()
	const size = 20 << 20 // three parts
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, "--render", "10ms")
			f.put("/_fake/behavior", stalledOnce)
			puts, endpoint := countPuts(t, f.s3.Endpoint)
			worker, _ := f.startWorker("HOURGLASS_DRAIN=100ms", "AWS_ENDPOINT_URL_S3="+endpoint)
			r := request(1)
			f.submit(r)
			folder := filepath.Join(f.s3.Dir, "media", "out", r.ID)
			var missing string
			f.eventually("three files are copied, and the fourth has begun", func() bool {
				begun, whole := uploads(t, f.s3), 0
				for n := 1; n <= 4; n++ {
					if _, err := os.Stat(filepath.Join(folder, fmt.Sprint(n, ".png"))); err == nil {
						whole++
					}
				}
				if len(begun) == 1 {
					missing = path.Base(begun[0])
				}
				return len(begun) == 1 && whole == 3 && puts.of(missing) > 0
			})
			before := map[string]int64{}
			for n := 1; n <= 4; n++ {
				name := fmt.Sprint(n, ".png")
				before[name] = puts.of(name)
			}
			worker.signal(signal)
			if !worker.ends(20 * time.Second) {
				t.Fatal("it has not ended")
			}
			if left := uploads(t, f.s3); (len(left) == 1) != (signal == syscall.SIGKILL) {
				t.Errorf("%s has left the uploads %v", signal, left)
			}
			read := f.totals().Downloads
			f.startWorker("AWS_ENDPOINT_URL_S3=" + endpoint)
			if _, stderr, code := f.enqueue("wait", r.ID, "--timeout", "4m"); code != 0 { // for the lease of a task whose worker was killed
				t.Fatalf("wait: exit %d: %s", code, stderr)
			}
			f.finished(r.ID)
			if left := uploads(t, f.s3); len(left) != 0 {
				t.Errorf("left in the bucket: %v", left)
			}
			// What is handed back at once counts as untried: the others are asked for, and found before they are read.
			if again := f.totals().Downloads - read; signal == syscall.SIGKILL && again != 1 {
				t.Errorf("%d files were asked for again, want the missing one", again)
			}
			for name, had := range before {
				want := int64(0)
				if name == missing {
					want = size
				}
				if more := puts.of(name) - had; more != want {
					t.Errorf("%s: %d bytes were sent again, want %d", name, more, want)
				}
			}
			f.checkSecrets()
		})
	}
}
