package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-290c2414/hourglass/tasks"
)

// film is larger than what fits into the buffers on its way.
var film = bytes.Repeat([]byte("a film of a tin robot, "), 1<<20)

// filmKey is a marker: it must turn up in no log.
const filmKey = "people/canary? 100%.mp4"

// withFilm is a fleet whose S3 server has a bucket of the callers', with a film in it.
func withFilm(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, "--render", "10ms")
	if err := os.Mkdir(filepath.Join(f.s3.Dir, "callers"), 0o750); err != nil {
		t.Fatal(err)
	}
	client := s3.New(s3.Options{
		BaseEndpoint: &f.s3.Endpoint, Region: f.s3.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(f.s3.AccessKey, f.s3.SecretKey, ""),
	})
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("callers"), Key: aws.String(filmKey), Body: bytes.NewReader(film)}); err != nil {
		t.Fatal(err)
	}
	return f
}

// submitFilm submits a job that has a file as its input.
func (f *fleet) submitFilm(id, file string) {
	f.t.Helper()
	_, stderr, code := f.enqueue("submit", "video-to-video", "--id", id, "--set", "start_seconds=0", "--set", "end_seconds=5", "--set", "assets.video_source=file",
		"--set", "style.art_style=Minecraft", "--set", "assets.video_file_path="+file)
	if code != 0 {
		f.t.Fatalf("submit: exit %d, %s", code, stderr)
	}
}

// checkUploaded holds that the API has the film, whole, under a path.
func (f *fleet) checkUploaded(path string) {
	f.t.Helper()
	var got struct {
		Size   int
		SHA256 string
	}
	f.get(f.api+"/_fake/uploads?file_path="+url.QueryEscape(path), &got)
	sum := sha256.Sum256(film)
	if got.Size != len(film) || got.SHA256 != hex.EncodeToString(sum[:]) {
		f.t.Errorf("the API has %+v, want %d bytes", got, len(film))
	}
}

// TestInputFromABucket: a worker reads none unless it is told to, and then brings it to the API, once.
func TestInputFromABucket(t *testing.T) {
	t.Parallel()
	f := withFilm(t)
	careful, _ := f.startWorker()
	f.submitFilm("film", "s3://callers/"+filmKey)
	out, _, code := f.enqueue("wait", "film", "--timeout", "1m", "--json")
	var s tasks.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 3 || s.Error == nil || s.Error.Code != "input_refused" || !strings.Contains(s.Error.Hint, "HOURGLASS_INPUT_BUCKETS") {
		t.Fatalf("wait: exit %d, %v, %+v", code, err, s.Error)
	}
	if got := f.totals(); got.Creates != 0 || got.Uploads != 0 {
		t.Errorf("refused, and the API saw %+v", got)
	}
	careful.signal(syscall.SIGTERM)
	if !careful.ends(20 * time.Second) {
		t.Fatal("the worker did not end")
	}

	f.startWorker("HOURGLASS_INPUT_BUCKETS=others, callers")
	f.post("/_fake/faults", `{"call":"create","status":429}`)
	if _, stderr, code := f.enqueue("retry", "film"); code != 0 {
		t.Fatalf("retry: exit %d, %s", code, stderr)
	}
	f.finished("film")
	job, err := f.client.Job(t.Context(), "film")
	if err != nil || len(job.Inputs) != 1 {
		t.Fatalf("inputs %+v, %v", job.Inputs, err)
	}
	f.checkUploaded(job.Inputs[0].FilePath)
	if got := f.totals(); got.Uploads != 1 || got.Creates != 1 {
		t.Errorf("the API saw %+v", got)
	}
	f.checkSecrets()
	for _, l := range f.logs[1:] { // the fake may say what it likes
		if strings.Contains(l.text(), "canary?") || strings.Contains(l.text(), job.Inputs[0].FilePath) {
			t.Errorf("a worker shows what only the record may hold:\n%s", l.text())
		}
	}
}

// TestUploadCutShort: a worker that is told to stop calls its upload off when its drain time is over, and the
// next one goes on.
func TestUploadCutShort(t *testing.T) {
	t.Parallel()
	f := withFilm(t)
	f.post("/_fake/faults", `{"call":"upload","do":"hang"}`)
	worker, _ := f.startWorker("HOURGLASS_INPUT_BUCKETS=callers", "HOURGLASS_DRAIN=100ms")
	f.submitFilm("film", "s3://callers/"+filmKey)
	f.eventually("an upload hangs", func() bool {
		var ledger struct {
			Events []struct{ Kind, Detail string }
		}
		f.get(f.api+"/_fake/ledger", &ledger)
		for _, e := range ledger.Events {
			if e.Kind == "held" && e.Detail == "upload" {
				return true
			}
		}
		return false
	})
	worker.signal(syscall.SIGTERM)
	if !worker.ends(20*time.Second) || worker.process.ProcessState.ExitCode() != 0 {
		t.Fatalf("the worker ended with %v", worker.process.ProcessState)
	}
	if got := f.state("film"); got != tasks.Pending {
		t.Errorf("the job is %s", got)
	}
	f.startWorker("HOURGLASS_INPUT_BUCKETS=callers")
	f.finished("film")
	if got := f.totals(); got.Uploads != 1 {
		t.Errorf("the API saw %+v", got)
	}
}

// TestLocalFile: a file of the caller's machine goes all the way.
func TestLocalFile(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker()
	name := filepath.Join(t.TempDir(), "film.mp4")
	if err := os.WriteFile(name, film, 0o600); err != nil {
		t.Fatal(err)
	}
	f.submitFilm("film", name)
	f.finished("film")
	f.submitFilm("film", name)
	job, err := f.client.Job(t.Context(), "film")
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Assets struct {
			Path string `json:"video_file_path"`
		}
	}
	if err := json.Unmarshal(job.Body, &body); err != nil {
		t.Fatal(err)
	}
	f.checkUploaded(body.Assets.Path)
	if got := f.totals(); got.Uploads != 1 || got.Creates != 1 {
		t.Errorf("the API saw %+v", got)
	}
	f.checkSecrets()
}
