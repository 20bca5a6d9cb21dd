package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A desk is a folder with files, an API, and a key.
type desk struct {
	t     *testing.T
	dir   string
	redis string
	fake  *magichourtest.Server
}

// newDesk sets the key in the environment, so its tests can't be parallel.
func newDesk(t *testing.T) *desk {
	t.Helper()
	t.Setenv("MAGIC_HOUR_API_KEY", "mhk_live_canary")
	_, url := start(t)
	d := &desk{t, t.TempDir(), url, magichourtest.New(magichourtest.Options{Key: "mhk_live_canary"})}
	if err := d.fake.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.fake.Close)
	t.Setenv("MAGIC_HOUR_BASE_URL", d.fake.URL())
	return d
}

func (d *desk) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

func (d *desk) enqueue(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	return enqueue(d.t, d.redis, "", args...)
}

// uploads is how many files came to the API, which must have seen nothing that a good client never does.
func (d *desk) uploads() int {
	d.t.Helper()
	if v := d.fake.Totals().Violations; v != 0 {
		d.t.Errorf("%d violations of the API's rules", v)
	}
	return d.fake.Totals().Uploads
}

// job is what was submitted under an id.
func (d *desk) job(id string) *tasks.Job {
	d.t.Helper()
	rdb := connectTo(d.t, d.redis)
	job, err := tasks.NewClient(rdb).Job(d.t.Context(), id)
	if err != nil {
		d.t.Fatal(err)
	}
	return job
}

//nolint:paralleltest // sets variables
func TestLocalFile(t *testing.T) {
	d := newDesk(t)
	film := d.file("film.mp4", "the bytes")
	submit := func(id string) (string, string, int) {
		return d.enqueue("submit", "auto-subtitle-generator", "--id", id, "--set", "start_seconds=0", "--set", "end_seconds=5", "--set", "style.template=karaoke", "--set", "assets.video_file_path="+film)
	}
	out, said, code := submit("a")
	if code != 0 || out != "a\n" || !strings.Contains(said, "uploading "+film+" (9 bytes)") {
		t.Fatalf("exit %d, %q, %s", code, out, said)
	}
	_, path, _ := strings.Cut(string(d.job("a").Body), `"video_file_path":"`)
	path, _, _ = strings.Cut(path, `"`)
	if file, found := d.fake.Uploaded(path); !found || string(file.Bytes) != "the bytes" || d.uploads() != 1 {
		t.Errorf("%s holds %+v after %d uploads", path, file, d.uploads())
	}
	if out, said, code := submit("a"); code != 0 || out != "a\n" || strings.Contains(said, "uploading") || d.uploads() != 1 {
		t.Errorf("again: exit %d, %s, %d uploads", code, said, d.uploads())
	}
	if _, said, code := submit("b"); code != 0 || d.uploads() != 1 {
		t.Errorf("the same content for another job: exit %d, %s, %d uploads", code, said, d.uploads())
	}
	d.file("film.mp4", "other bytes")
	if _, said, code := submit("a"); code != exitExists || d.uploads() != 1 {
		t.Errorf("another content under the same id: exit %d, %s, %d uploads", code, said, d.uploads())
	}
}

//nolint:paralleltest // sets variables
func TestLocalFilesOfABatch(t *testing.T) {
	d := newDesk(t)
	face, twin, say := d.file("face.png", "a face"), d.file("twin.png", "a face"), d.file("say.webm", "a voice")
	swap := func(id, source, target string) string {
		return `{"id":"` + id + `","operation":"face-swap-photo","body":{"assets":{"source_file_path":"` + source + `","target_file_path":"` + target + `"}}}` + "\n"
	}
	lines := swap("a", face, "s3://bucket/target.png") + swap("b", twin, face) + swap("c", "https://example.com/a.png", face) +
		`{"id":"d","operation":"lip-sync","body":{"start_seconds":0,"end_seconds":5,"assets":{"video_source":"file","video_file_path":"` + say + `","audio_file_path":"` + say + `"}}}` + "\n" + clip + "\n"
	name := write(t, lines)
	if out, said, code := d.enqueue("batch", name, "--dry-run"); code != 0 || strings.Count(out, face) != 3 || strings.Contains(out, "api-assets") || d.uploads() != 0 {
		t.Errorf("dry run: exit %d, %s%s", code, out, said)
	}
	bad := write(t, lines+swap("e", filepath.Join(d.dir, "none.png"), face))
	if _, said, code := d.enqueue("batch", bad); code != exitRefused || !strings.Contains(said, "line 6: assets.source_file_path") || d.uploads() != 0 {
		t.Errorf("a bad line: exit %d after %d uploads, %s", code, d.uploads(), said)
	}
	out, said, code := d.enqueue("batch", name)
	if code != 0 || strings.Count(out, "\n") != 5 || d.uploads() != 3 { // the webm is a video and an audio file
		t.Fatalf("exit %d after %d uploads, %s%s", code, d.uploads(), out, said)
	}
	if body := string(d.job("a").Body); !strings.Contains(body, `"s3://bucket/target.png"`) || strings.Contains(body, d.dir) || strings.Contains(body, "api-assets/local") {
		t.Errorf("enqueued as %s", body)
	}
	if body := string(d.job("d").Body); !strings.Contains(body, "/video.webm") || !strings.Contains(body, "/audio.webm") {
		t.Errorf("enqueued as %s", body)
	}
	if _, said, code := d.enqueue("batch", name); code != 0 || !strings.Contains(said, "5 of them before") || d.uploads() != 3 {
		t.Errorf("again: exit %d after %d uploads, %s", code, d.uploads(), said)
	}
}

func TestLocalFileRefusals(t *testing.T) {
	d := newDesk(t)
	d.file("empty.png", "")
	d.file("text.txt", "x")
	d.file("clip.gif", "x")
	good := d.file("good.png", "x")
	submit := func(asset string, more ...string) (string, int) {
		_, said, code := d.enqueue(append([]string{"submit", "photo-colorizer", "--set", "assets.image_file_path=" + asset}, more...)...)
		return said, code
	}
	for _, tt := range []struct{ name, says string }{
		{"none.png", "no such file"},
		{"empty.png", "is empty"},
		{"text.txt", "supported"},
		{"clip.gif", "supported"},
		{".", "regular file"},
	} {
		said, code := submit(filepath.Join(d.dir, tt.name))
		if code != exitRefused || !strings.Contains(said, "assets.image_file_path: ") || !strings.Contains(said, tt.says) {
			t.Errorf("%s: exit %d, %s", tt.name, code, said)
		}
	}
	if said, code := submit(good, "--set", "nonsense=1", "--set", "assets.other=1", "--set", "name=7"); code != exitRefused || !strings.Contains(said, "name: ") {
		t.Errorf("a bad request with a good file: exit %d, %s", code, said)
	}
	d.fake.Inject(magichourtest.Fault{Call: magichourtest.Upload, Status: 503, Times: 1})
	if said, code := submit(good); code != exitFailure || !strings.Contains(said, "nothing was enqueued") || strings.Contains(said, "canary") {
		t.Errorf("the upload fails: exit %d, %s", code, said)
	}
	t.Setenv("MAGIC_HOUR_API_KEY", "")
	if said, code := submit(good); code != exitUsage || !strings.Contains(said, "MAGIC_HOUR_API_KEY") {
		t.Errorf("no key: exit %d, %s", code, said)
	}
	if said, code := submit("https://example.com/a.png"); code != 0 {
		t.Errorf("no key is needed for a URL: exit %d, %s", code, said)
	}
	if d.uploads() != 0 {
		t.Errorf("%d uploads", d.uploads())
	}
}

// TestFileThatChanges: what is uploaded is what was looked at, or nothing.
//
//nolint:paralleltest // sets variables
func TestFileThatChanges(t *testing.T) {
	d := newDesk(t)
	name := d.file("face.png", "a face")
	for _, when := range []string{"before it is read", "before it is sent"} {
		var f files
		if _, _, err := f.standIn("photo-colorizer", []byte(`{"assets":{"image_file_path":"`+name+`"}}`)); err != nil {
			t.Fatal(err)
		}
		u := d.uploader()
		if when == "before it is read" {
			d.file("face.png", "another face")
			if err := u.recall(t.Context(), &f); err == nil || !strings.Contains(err.Error(), "changed") {
				t.Errorf("%s: got %v", when, err)
			}
			continue
		}
		if err := u.recall(t.Context(), &f); err != nil {
			t.Fatal(err)
		}
		f.all[0].sum = strings.Repeat("0", 64) // as that of other bytes, of the same length and age
		if err := u.upload(t.Context(), &f); err == nil || !strings.Contains(err.Error(), "changed") {
			t.Errorf("%s: got %v", when, err)
		}
	}
}

// TestUploadOfTwoCallers: of two who upload the same file at the same time, both name the path of the first, so
// that the same request under the same id stays one job.
//
//nolint:paralleltest // sets variables
func TestUploadOfTwoCallers(t *testing.T) {
	d := newDesk(t)
	name := d.file("face.png", "a face")
	var callers [2]files
	for i := range callers {
		if _, _, err := callers[i].standIn("photo-colorizer", []byte(`{"assets":{"image_file_path":"`+name+`"}}`)); err != nil {
			t.Fatal(err)
		}
		if err := d.uploader().recall(t.Context(), &callers[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range callers {
		if err := d.uploader().upload(t.Context(), &callers[i]); err != nil {
			t.Fatal(err)
		}
	}
	if first, second := callers[0].all[0].path, callers[1].all[0].path; first != second || d.uploads() != 2 {
		t.Errorf("named as %s and %s after %d uploads", first, second, d.uploads())
	}
}

func (d *desk) uploader() *uploader {
	d.t.Helper()
	api, err := magichour.New(d.fake.URL(), func() (string, error) { return "mhk_live_canary", nil })
	if err != nil {
		d.t.Fatal(err)
	}
	return &uploader{api, records.New(connectTo(d.t, d.redis)), io.Discard}
}

func connectTo(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	rdb, err := records.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}
