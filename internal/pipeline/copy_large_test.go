package pipeline

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/minio/crc64nvme"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// mostResident is what a process may take, at its most, that copies one large file: 40 MiB of parts, and
// what a test is made of.
const mostResident = 110 << 20

// period is the length of the pattern that large files are made of: parts of it are never equal.
const period = 1<<20 + 7

func pattern() []byte {
	block := make([]byte, period)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(block) // never fails
	return block
}

// patternHost serves one large file that is nowhere.
type patternHost struct {
	block []byte
	size  int64
}

// ServeHTTP implements http.Handler.
func (h patternHost) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("ETag", `"large"`)
	w.Header().Set("Content-Length", strconv.FormatInt(h.size, 10))
	for left := h.size; left > 0; left -= period {
		if _, err := w.Write(h.block[:min(period, left)]); err != nil {
			return
		}
	}
}

// TestLargeFile copies a file of ten GiB in a process of its own, and looks at what that process has taken of
// memory, and at what has arrived. (Under the race detector the file is smaller.)
func TestLargeFile(t *testing.T) {
	if os.Getenv("HOURGLASS_TEST_SOURCE") != "" {
		copyLarge(t)
		return
	}
	t.Parallel()
	host := patternHost{pattern(), largeFile}
	goOn := make(chan struct{})
	hold := sync.OnceFunc(func() { time.AfterFunc(time.Second, func() { close(goOn) }) })
	source, sink := httptest.NewServer(host), httptest.NewServer(&storagetest.Sink{Before: func(_ http.ResponseWriter, r *http.Request) bool {
		if storagetest.Operation(r) == "UploadPart" { // at first the store is slow, so that as much is read ahead as may be
			hold()
			<-goOn
		}
		return false
	}})
	for _, server := range []*httptest.Server{source, sink} {
		server.Config.SetKeepAlivesEnabled(false) // the child has no hand on its idle connections
	}
	t.Cleanup(source.Close)
	t.Cleanup(sink.Close)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLargeFile$", "-test.v") //nolint:gosec // ourselves
	child.Env = append(os.Environ(), "HOURGLASS_TEST_SOURCE="+source.URL, "HOURGLASS_TEST_SINK="+sink.URL)
	begun := time.Now()
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	took := time.Since(begun)
	crc := crc64nvme.New()
	for left := int64(largeFile); left > 0; left -= period {
		_, _ = crc.Write(host.block[:min(period, left)])
	}
	var size, resident int64
	var checksum string
	_, rest, _ := strings.Cut(string(out), "copied ")
	if _, err := fmt.Sscan(rest, &size, &checksum, &resident); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := "crc64nvme:" + base64.StdEncoding.EncodeToString(crc.Sum(nil)); size != largeFile || checksum != want {
		t.Errorf("got %d bytes %s, want %d bytes %s", size, checksum, int64(largeFile), want)
	}
	t.Logf("%d MiB in %.1f s, with %d MiB at most", size>>20, took.Seconds(), resident>>20)
	if resident > mostResident && stride == 1 { // the race detector's own memory is many times that
		t.Errorf("the process had %d MiB, want at most %d", resident>>20, mostResident>>20)
	}
}

// copyLarge is the child: it says what was copied, and the most memory that it had at one time.
func copyLarge(t *testing.T) {
	t.Helper()
	w := newWorld(t, magichourtest.Options{})
	w.submit(requests()[0])
	w.untilStage(tasks.StageDownload)
	w.pipeline.store = open(t, "s3://media", storage.Options{PathStyle: true, AWS: []storage.AWSOption{
		config.WithBaseEndpoint(os.Getenv("HOURGLASS_TEST_SINK")), config.WithRegion("us-east-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("a", "b", "")),
	}})
	job := w.job("video")
	links := &freshest{links: map[int]magichour.Download{1: {URL: os.Getenv("HOURGLASS_TEST_SOURCE") + "/v.mp4"}}}
	file, err := w.pipeline.copy(t.Context(), job, job.Sources[0], links)
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		t.Fatal(err)
	}
	fmt.Println("copied", file.Size, file.Checksum, kib<<10) //nolint:forbidigo // to the parent
}
