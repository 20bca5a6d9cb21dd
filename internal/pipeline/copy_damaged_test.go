package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// An echo is a store that takes everything, and answers for it the checksum that it was told, or none.
type echo struct {
	behind *storagetest.S3
	mute   bool

	mu    sync.Mutex
	told  map[string]string // by path
	hurts string            // the operation in which a byte of a file is damaged
	put   func()            // called once, when a file has come
}

const crcHeader = "X-Amz-Checksum-Crc64nvme"

func (e *echo) hurt(operation string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hurts = operation
}

// ServeHTTP implements http.Handler.
func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := storagetest.Operation(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	damaged := operation == e.hurts && strings.HasSuffix(r.URL.Path, ".mp4")
	if operation == "PutObject" {
		if r.Header.Get("If-None-Match") == "" || e.told[r.URL.Path] == "" {
			e.told[r.URL.Path] = r.Header.Get(crcHeader)
		}
		r.Header.Del(crcHeader)
		body, _ := io.ReadAll(r.Body)
		if damaged {
			body[len(body)/2] ^= 1
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if operation == "PutObject" && damaged && e.put != nil {
		e.put()
		e.put = nil
	}
	answer := httptest.NewRecorder()
	e.behind.ServeHTTP(answer, r)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	body := answer.Body.Bytes()
	if operation == "HeadObject" && answer.Code == http.StatusOK || operation == "GetObject" && answer.Header().Get(crcHeader) != "" {
		w.Header().Set(crcHeader, e.told[r.URL.Path])
	}
	if e.mute {
		w.Header().Del(crcHeader)
	}
	if operation == "GetObject" && damaged && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(body)
}

// newWorldOnEcho is a world whose store believes everything.
func newWorldOnEcho(t *testing.T, mute bool) (*world, *echo) {
	t.Helper()
	e := &echo{behind: storagetest.NewS3(t, "media"), mute: mute, told: map[string]string{}}
	front := httptest.NewServer(e)
	t.Cleanup(front.Close)
	store := open(t, "s3://media/deep", e.behind.Options(config.WithBaseEndpoint(front.URL)))
	w := newWorldOn(t, magichourtest.Options{OutputSize: 30_000}, noon, store)
	w.stores = func(p *process) storage.Store { return storeGate{p, store} }
	w.start()
	return w, e
}

// TestEchoDeletesNothing: a store that verifies nothing has damaged a file on its way, or lets it go bad
// afterwards. It is found out every time it is looked at, the original stays, and the file is copied again.
func TestEchoDeletesNothing(t *testing.T) {
	t.Parallel()
	stays := func(t *testing.T, w *world) {
		t.Helper()
		if job := w.job("video"); job.State != tasks.Storing || job.StoredAt != nil || w.fake.Totals().Deletes != 0 {
			t.Errorf("got %+v after %d deletes", job, w.fake.Totals().Deletes)
		}
	}
	for _, mute := range []bool{false, true} {
		t.Run(fmt.Sprintf("damaged on its way, no checksum: %t", mute), func(t *testing.T) {
			t.Parallel()
			w, e := newWorldOnEcho(t, mute)
			w.submit(requests()[0])
			download := w.untilStage(tasks.StageDownload)
			e.hurt("PutObject")
			for range 3 { // from the second time on the damaged one stands there
				if err := w.step(download); err == nil || !strings.Contains(err.Error(), storage.ErrUnproved.Error()) {
					t.Fatalf("got %v, want ErrUnproved", err)
				}
			}
			stays(t, w)
			e.hurt("")
			w.run()
			w.checkDone("video")
		})
		t.Run(fmt.Sprintf("gone bad before the cleanup, no checksum: %t", mute), func(t *testing.T) {
			t.Parallel()
			w, e := newWorldOnEcho(t, mute)
			w.submit(requests()[0])
			cleanup := w.untilCleanup()
			e.hurt("GetObject")
			if err := w.step(cleanup); err != nil {
				t.Fatal(err)
			}
			stays(t, w)
			e.hurt("")
			w.run()
			w.checkDone("video")
		})
	}
}

// TestKilledOverADamagedCopy: the worker that sent a file to a store that verifies nothing did not live to look
// at it. The next one does not take it for a copy.
func TestKilledOverADamagedCopy(t *testing.T) {
	t.Parallel()
	for _, mute := range []bool{false, true} {
		w, e := newWorldOnEcho(t, mute)
		w.submit(requests()[0])
		download := w.untilStage(tasks.StageDownload)
		e.hurt("PutObject")
		e.mu.Lock()
		e.put = func() { w.process.kill() }
		e.mu.Unlock()
		if err := w.step(download); !errors.Is(err, errKilled) {
			t.Fatalf("got %v, want it killed", err)
		}
		e.hurt("")
		w.run()
		w.checkDone("video")
	}
}

// TestURLExpiresWhileItIsCopied: the connection breaks, and by then the URL has expired. The copy goes on from
// where it was, over a fresh one.
func TestURLExpiresWhileItIsCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{OutputSize: longOutput, URLTTL: time.Minute, Behavior: magichourtest.Behavior{
		Body: magichourtest.Truncated, BodyTimes: 1, BreakAt: 100_000,
	}})
	w.submit(requests()[0])
	download := w.untilStage(tasks.StageDownload)
	var expire func()
	expire = func() {
		if len(w.ranges()) == 0 {
			w.when("http GET media before", expire)
			return
		}
		w.forward(2 * time.Minute)
	}
	w.when("http GET media before", expire)
	polls := w.fake.Totals().Polls
	if err := w.step(download); err != nil {
		t.Fatal(err)
	}
	if got, want := w.ranges(), []int{200, 403, 206}; !slices.Equal(got, want) {
		t.Errorf("downloads: got %v, want %v", got, want)
	}
	if got := w.fake.Totals().Polls - polls; got != 2 {
		t.Errorf("the project was asked for %d times, want once at first and once for the fresh URL", got)
	}
	w.run()
	w.checkDone("video")
}

// TestEmptyFile: nothing is no copy, whether the host announces it or not.
func TestEmptyFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(requests()[0])
	w.untilStage(tasks.StageDownload)
	job := w.job("video")
	contents, inChunks := "", false
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "video/mp4")
		if !inChunks {
			w.Header().Set("Content-Length", strconv.Itoa(len(contents)))
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, contents)
	}))
	t.Cleanup(host.Close)
	links := &freshest{links: map[int]magichour.Download{1: {URL: host.URL + "/v.mp4"}}}
	for _, inChunks = range []bool{false, true} {
		if file, err := w.pipeline.copy(t.Context(), job, job.Sources[0], links); err == nil || !strings.Contains(err.Error(), "empty file") {
			t.Errorf("in chunks: %t: got %+v, %v; want it refused", inChunks, file, err)
		}
	}
	contents = "not empty any more"
	if file, err := w.pipeline.copy(t.Context(), job, job.Sources[0], links); err != nil || file.Size != int64(len(contents)) {
		t.Errorf("afterwards: got %+v, %v", file, err)
	}
}
