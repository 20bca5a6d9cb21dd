// Package network copies files over a network that fails.
package network

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
)

const (
	files    = 100
	fileSize = 2 << 20
	atOnce   = 20
	needed   = files * fileSize

	leastCut  = 100_000 // bytes: a connection that lives gets on
	idleLimit = 500 * time.Millisecond
)

// A source serves "/<n>", each n another file, as an object store does.
type source struct {
	sent     atomic.Int64 // bytes of bodies that were written to connections
	requests atomic.Int64
}

// ServeHTTP implements http.Handler.
func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	s.requests.Add(1)
	w.Header().Set("ETag", fmt.Sprintf(`"file-%d"`, n))
	w.Header().Set("Content-Type", "video/mp4")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(storagetest.Body(fileSize, n)))
}

// counting counts what a server writes. Its buffers are small, so that what is written has nearly arrived.
type counting struct {
	net.Listener
	sent *atomic.Int64
}

// Accept implements net.Listener.
func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	_ = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
	return counted{conn, l.sent}, nil
}

type counted struct {
	net.Conn
	sent *atomic.Int64
}

// Write implements io.Writer.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// A silence is a toxic: after so many bytes nothing comes any more, and nothing is closed.
type silence struct {
	Bytes int64 `json:"bytes"`
}

// Pipe implements toxics.Toxic.
func (s *silence) Pipe(stub *toxics.ToxicStub) {
	for passed := int64(0); passed < s.Bytes; {
		select {
		case <-stub.Interrupt:
			return
		case c := <-stub.Input:
			if c == nil {
				stub.Close()
				return
			}
			passed += int64(len(c.Data))
			stub.Output <- c
		}
	}
	silences.Add(1)
	<-stub.Interrupt
}

var silences atomic.Int64 // in this process

func init() { toxics.Register("silence", new(silence)) } //nolint:gochecknoinits // where toxiproxy looks for kinds

// startProxies stands proxies before a server, each bad in its own way to a part of its connections, and
// returns their addresses. Its connections are closed by a reset: toxiproxy sees to that where there is a
// reset_peer, for all.
func startProxies(t *testing.T, random *rand.Rand, server string) (addrs []string) {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for i := range atOnce {
		proxy := toxiproxy.NewProxy(api, fmt.Sprint("proxy-", i), "127.0.0.1:0", server)
		if err := proxy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Stop)
		for n, bad := range []struct {
			kind  string
			share float64 // of its connections
			of    string
		}{
			{"bandwidth", 1, fmt.Sprintf(`{"rate":%d}`, 1_500+random.IntN(4_000))}, // KB/s
			{"latency", 1, fmt.Sprintf(`{"latency":%d,"jitter":%d}`, random.IntN(15), random.IntN(5))},
			{"limit_data", 0.25, fmt.Sprintf(`{"bytes":%d}`, leastCut+random.IntN(fileSize-leastCut))},
			{"limit_data", 0.25, fmt.Sprintf(`{"bytes":%d}`, leastCut+random.IntN(fileSize-leastCut))},
			{"silence", 0.2, fmt.Sprintf(`{"bytes":%d}`, leastCut+random.IntN(fileSize-leastCut))},
			{"reset_peer", 0.1, fmt.Sprintf(`{"timeout":%d}`, random.IntN(100))},
		} {
			text := fmt.Sprintf(`{"name":"%d","type":%q,"stream":"downstream","toxicity":%g,"attributes":%s}`, n, bad.kind, bad.share, bad.of)
			if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		addrs = append(addrs, proxy.Listen)
	}
	return addrs
}

// TestToxicNetwork copies a hundred files over slow, late, silent and breaking connections. All come whole,
// and little is sent twice. The seed decides offsets and rates; which connections they meet is up to toxiproxy.
func TestToxicNetwork(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("HOURGLASS_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("HOURGLASS_SEED=%d", seed)
	var from source
	server := httptest.NewUnstartedServer(&from)
	server.Listener = counting{server.Listener, &from.sent}
	server.Config.SetKeepAlivesEnabled(false) // or a connection falls silent between two files, and before an answer there is a limit of its own
	server.Start()
	t.Cleanup(server.Close)
	proxies := startProxies(t, rand.New(rand.NewPCG(seed, 0)), server.Listener.Addr().String()) //nolint:gosec // repeatable is what is wanted
	behind := storagetest.NewS3(t, "media")
	store, err := storage.Open(t.Context(), "s3://media", behind.Options())
	if err != nil {
		t.Fatal(err)
	}
	client, err := magichour.New("http://127.0.0.1:1", func() (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	client.IdleLimit = idleLimit
	var copying sync.WaitGroup
	var again atomic.Int64
	silent := silences.Load()
	for i, proxy := range proxies {
		copying.Go(func() {
			for n := i; n < files; n += len(proxies) {
				again.Add(copyFile(t, client, store, fmt.Sprintf("http://%s/%d", proxy, n), key(n)))
			}
		})
	}
	copying.Wait()
	for n := range files {
		wantFile(t, store, n)
	}
	silent = silences.Load() - silent
	ratio := float64(from.sent.Load()) / needed
	t.Logf("%d requests for %d files, %d silences, %d opened again, %.2f times the bytes needed", from.requests.Load(), files, silent, again.Load(), ratio)
	if from.requests.Load() < files+files/4 || silent < 3 {
		t.Error("the network was not bad")
	}
	if ratio > 1.3 {
		t.Errorf("the source sent %.2f times the bytes needed, want at most 1.3", ratio)
	}
}

func key(n int) string { return fmt.Sprintf("j%d/1.mp4", n) }

// copyFile copies a file. It opens it again where not even a first answer came, as the queue would, and
// returns how often it did. A copy that has begun must come to its end.
func copyFile(t *testing.T, client *magichour.Client, store storage.Store, url, key string) (again int64) {
	t.Helper()
	media, err := client.Open(t.Context(), magichour.Download{URL: url}, nil)
	for err != nil && again < 20 {
		again++
		media, err = client.Open(t.Context(), magichour.Download{URL: url}, nil)
	}
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return again
	}
	if _, err := store.Put(t.Context(), key, media.Body, storage.PutOptions{Size: media.Size}); err != nil {
		t.Errorf("%s: %v", key, err)
	}
	_ = media.Body.Close()
	return again
}

func wantFile(t *testing.T, store storage.Store, n int) {
	t.Helper()
	r, err := store.Open(t.Context(), key(n))
	if err != nil {
		t.Error(err)
		return
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, storagetest.Body(fileSize, n)) {
		t.Errorf("file %d: got %d bytes, %v, and not those of the source", n, len(got), err)
	}
}
