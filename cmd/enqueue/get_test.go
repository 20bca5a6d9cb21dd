package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// kept makes a job whose files are in a store, each with its own name as its bytes, and then some.
func kept(t *testing.T, url, id, storageURL string, o storage.Options, names ...string) []tasks.Output {
	t.Helper()
	store, err := storage.Open(t.Context(), storageURL, o)
	if err != nil {
		t.Fatal(err)
	}
	var outputs []tasks.Output
	for i, name := range names {
		text := strings.Repeat(name+" ", 100_000)
		object, err := store.Put(t.Context(), id+"/"+name, strings.NewReader(text), storage.PutOptions{Size: int64(len(text))})
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, tasks.Output{N: i + 1, Key: object.Key, URL: object.URL, Size: object.Size, Checksum: object.Checksum})
	}
	if _, said, code := enqueue(t, url, "", "submit", "text-to-video", "--id", id, "--set", "end_seconds=5", "--set", "style.prompt=x"); code != 0 {
		t.Fatal(said)
	}
	stand(t, url, id, func(job *tasks.Job) {
		now := time.Now()
		job.State, job.StoredAt, job.Outputs = tasks.Cleaning, &now, outputs
	})
	return outputs
}

// folder is what files are in a folder, and below.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the test's own
		name, _ := filepath.Rel(dir, path)
		word, _, _ := strings.Cut(string(text), " ")
		files[name] = word
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestGet(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	store := "file://" + t.TempDir()
	outputs := kept(t, url, "a", store, storage.Options{}, "1.mp4", "2.mp4", "3.mp4", "4.mp4", "5.mp4")
	kept(t, url, "b", store+"/films", storage.Options{}, "1.png")
	dir := t.TempDir()
	out, said, code := enqueue(t, url, "", "get", "a", "b", "--output", dir)
	paths := slices.Sorted(strings.Lines(out))
	if code != 0 || said != "" || len(paths) != 6 || paths[0] != filepath.Join(dir, "a", "1.mp4")+"\n" || paths[5] != filepath.Join(dir, "b", "1.png")+"\n" {
		t.Errorf("exit %d, %q, %q", code, out, said)
	}
	want := map[string]string{"a/1.mp4": "1.mp4", "a/2.mp4": "2.mp4", "a/3.mp4": "3.mp4", "a/4.mp4": "4.mp4", "a/5.mp4": "5.mp4", "b/1.png": "1.png"}
	if got := folder(t, dir); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}

	before, err := os.Stat(filepath.Join(dir, "a", "1.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a/2.mp4", strings.Repeat("other ", 100_000)) // as long as the job's
	write("a/3.mp4", "mine ")
	out, said, code = enqueue(t, url, "", "get", "a", "--output", dir)
	if code != exitFailure || strings.Count(out, "\n") != 3 || strings.Count(said, "is there already, with other bytes") != 2 || !strings.Contains(said, "--force") {
		t.Errorf("over other files: exit %d, %q, %q", code, out, said)
	}
	if got := folder(t, dir); got["a/2.mp4"] != "other" || got["a/3.mp4"] != "mine" {
		t.Errorf("over other files: %v", got)
	}
	if after, err := os.Stat(filepath.Join(dir, "a", "1.mp4")); err != nil || !after.ModTime().Equal(before.ModTime()) || !os.SameFile(before, after) {
		t.Errorf("the same bytes are fetched again: %v", err)
	}
	out, said, code = enqueue(t, url, "", "get", "a", "--output", dir, "--force", "--json")
	if code != 0 || strings.Count(out, "\n") != 5 || !maps.Equal(folder(t, dir), want) {
		t.Errorf("by force: exit %d, %q, %q", code, out, said)
	}
	for line := range strings.Lines(out) {
		var file wantedFile
		if err := json.Unmarshal([]byte(line), &file); err != nil || file.Job != "a" || !slices.Contains(outputs, file.Output) || file.Path == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestGetDamaged: bytes that are not those of the record never get the file's name, and nothing is left of them.
func TestGetDamaged(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	store := t.TempDir()
	kept(t, url, "a", "file://"+store, storage.Options{}, "1.mp4")
	name := filepath.Join(store, "a", "1.mp4")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	for what, text := range map[string][]byte{"a bit": flipped, "shorter": whole[:len(whole)-1], "longer": append(slices.Clone(whole), 'x'), "empty": nil} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		out, said, code := enqueue(t, url, "", "get", "a", "--output", dir)
		if code != exitFailure || out != "" || !strings.Contains(said, "other bytes than were copied there") || len(folder(t, dir)) != 0 {
			t.Errorf("%s: exit %d, %q, %q, %v", what, code, out, said, folder(t, dir))
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, said, code := enqueue(t, url, "", "get", "a", "--output", t.TempDir()); code != exitFailure || !strings.Contains(said, "is not in the store any more") {
		t.Errorf("gone: exit %d, %q", code, said)
	}
}

func TestGetWithoutFiles(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	dir := t.TempDir()
	outputs := kept(t, url, "a", "file://"+dir, storage.Options{}, "1.mp4")
	get := func(args ...string) (string, int) {
		out, said, code := enqueue(t, url, "", append([]string{"get", "--output", t.TempDir()}, args...)...)
		return out + said, code
	}
	stand(t, url, "a", func(job *tasks.Job) { job.StoredAt, job.State = nil, tasks.Rendering })
	if said, code := get("a"); code != exitJobFailed || !strings.Contains(said, "a is rendering, its files are not stored yet; see enqueue wait a") {
		t.Errorf("rendering: exit %d, %s", code, said)
	}
	stand(t, url, "a", func(job *tasks.Job) { job.State = tasks.Failed })
	if said, code := get("a"); code != exitJobFailed || !strings.Contains(said, "a is failed and has no files; see enqueue status a") {
		t.Errorf("failed: exit %d, %s", code, said)
	}
	if said, code := get("none"); code != exitFailure || !strings.Contains(said, "none/manifest.json") {
		t.Errorf("no record: exit %d, %s", code, said)
	}
	if _, code := get(); code != exitUsage {
		t.Errorf("nothing asked for: exit %d", code)
	}

	text, err := json.Marshal(tasks.Manifest{V: 1, JobID: "a", Outputs: []tasks.ManifestFile{{Output: outputs[0]}}})
	if err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "manifest.json")
	for what, tt := range map[string]struct {
		text string
		code int
		says string
	}{
		"a manifest":         {string(text), 0, filepath.Join("a", "1.mp4")},
		"of elsewhere":       {strings.Replace(string(text), `"job_id":"a"`, `"job_id":"../a"`, 1), exitFailure, "want 1 to 128"},
		"with a wicked name": {strings.Replace(string(text), `a/1.mp4"`, `a/.."`, 1), exitFailure, "names no file"},
		"another file":       {"hello", exitFailure, "is no manifest"},
	} {
		if err := os.WriteFile(manifest, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, said, code := enqueue(t, nowhere, "", "get", "--output", t.TempDir(), "--manifest", "file://"+manifest)
		if code != tt.code || !strings.Contains(out+said, tt.says) {
			t.Errorf("%s: exit %d, %s%s", what, code, out, said)
		}
	}
}

// TestGetFromS3 reads what a worker has written into a bucket, with the variables that the worker has.
func TestGetFromS3(t *testing.T) {
	server := testservers.VersityGW(t, "media")
	for name, value := range server.Env() {
		t.Setenv(name, value)
	}
	_, url := start(t)
	outputs := kept(t, url, "a", "s3://media/films", storage.Options{PathStyle: true}, "1.mp4", "2.mp4")
	dir := t.TempDir()
	out, said, code := enqueue(t, url, "", "get", "a", "--output", dir)
	if got := folder(t, dir); code != 0 || outputs[0].URL != "s3://media/films/a/1.mp4" || !maps.Equal(got, map[string]string{"a/1.mp4": "1.mp4", "a/2.mp4": "2.mp4"}) {
		t.Errorf("exit %d, %s%s, %v", code, out, said, got)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	if _, said, code := enqueue(t, url, "", "get", "a", "--output", t.TempDir()); code != exitFailure || !strings.Contains(said, "check the credentials") {
		t.Errorf("with a wrong key: exit %d, %s", code, said)
	}
}
