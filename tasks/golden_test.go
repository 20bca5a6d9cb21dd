package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
)

var update = flag.Bool("update", false, "write testdata/unreleased as today's code writes it")

// The golden files are what stands in somebody's Redis and buckets: one of each form of the contract, with every
// field, as each release has written it. testdata/unreleased is what is written today, and changes with the code, by
// "go test ./tasks -run Golden -update". A release keeps a copy: cp -r testdata/unreleased testdata/v1.2.3. What is
// there is never changed and never deleted; what can't be read of it any more is a break of law 8.
// testdata/v0.0.0 is what ran before the first release.

// TestGoldenOfToday: what is written today is as the golden files have it, and has every field.
func TestGoldenOfToday(t *testing.T) {
	t.Parallel()
	for name, sample := range samples() {
		complete(t, name, reflect.ValueOf(sample).Elem())
		written := write(t, sample)
		if bytes.ContainsRune(written, '\n') {
			t.Errorf("%s: the dashboard wants it without newlines", name)
		}
		path := filepath.Join("testdata", "unreleased", name)
		if *update {
			if err := os.WriteFile(path, written, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, written) {
			t.Errorf("%s differs from what is written today; if that is meant, and old files are still read: go test ./tasks -run Golden -update\n%s", name, cmp.Diff(string(text), string(written)))
		}
		if diff := cmp.Diff(sample, read(t, name, text), cmp.Exporter(func(t reflect.Type) bool { return t == reflect.TypeFor[Request]() })); diff != "" {
			t.Errorf("%s is read as something else (-want +got):\n%s", name, diff)
		}
	}
}

// TestGoldenOfReleases: what any release has written is read, each field of it into a field of today's types, and
// nothing of it is lost when it is written again.
func TestGoldenOfReleases(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v := read(t, filepath.Base(path), text)
		if job, ok := v.(*Job); ok && len(job.Later) > 0 {
			t.Errorf("%s: fields that nobody reads any more: %v", path, job.Later)
		}
		if lost := lacks(tree(t, write(t, v)), tree(t, text), ""); len(lost) > 0 {
			t.Errorf("%s: lost or changed when it is read and written again: %v", path, lost)
		}
	}
}

// TestEveryReleaseHasItsFiles: a version of the changelog has a folder.
func TestEveryReleaseHasItsFiles(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`).FindAllSubmatch(changelog, -1) {
		folder := "testdata/v" + string(version[1])
		for name := range samples() {
			if _, err := os.Stat(filepath.Join(folder, name)); err != nil { //nolint:gosec // our own changelog says which
				t.Errorf("version %s has no golden files: cp -r tasks/testdata/unreleased tasks/%s", version[1], folder)
				break
			}
		}
	}
}

func write(t *testing.T, v any) []byte {
	t.Helper()
	encode := encode
	if job, ok := v.(*Job); ok {
		encode = func(any) ([]byte, error) { return job.Encode() }
	}
	text, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// read reads a golden file as the code does.
func read(t *testing.T, name string, text []byte) any {
	t.Helper()
	var v any
	var err error
	switch form := strings.TrimSuffix(name, ".json"); form {
	case "record":
		v, err = DecodeJob(text)
	case "notice":
		v = &Notice{}
	case "manifest":
		v = &Manifest{}
	case "request":
		v = &Request{}
	default:
		v, err = Decode(asynq.NewTask(Stage(form).Type(), text))
	}
	if strings.Contains("notice.json manifest.json request.json", name) {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatalf("%s can't be decoded any more: %v", name, err)
	}
	return v
}

// complete demands that a sample has every field: a new one belongs into sample_test.go.
func complete(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		t.Errorf("the sample of %s has no value: give it one in sample_test.go", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		complete(t, path, v.Elem())
	case reflect.Slice:
		complete(t, path+"[0]", v.Index(0))
	case reflect.Struct:
		if v.Type().PkgPath() != reflect.TypeFor[Job]().PkgPath() {
			return // a time
		}
		for f, field := range v.Fields() {
			if f.IsExported() && f.Tag.Get("json") != "-" {
				complete(t, path+"."+f.Name, field)
			}
		}
	}
}

// lacks lists the paths at which got has not what want has.
func lacks(got, want any, path string) (lost []string) {
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		for name, v := range want {
			lost = append(lost, lacks(object[name], v, path+"."+name)...)
		}
	case []any:
		list, _ := got.([]any)
		if len(list) != len(want) {
			return []string{path}
		}
		for i, v := range want {
			lost = append(lost, lacks(list[i], v, path+"[]")...)
		}
	default:
		if got != want {
			lost = append(lost, path)
		}
	}
	return lost
}

func tree(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDecodeToleratesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p, err := Decode(asynq.NewTask("hourglass:poll", []byte(`{"v":1,"job_id":"j1","epoch":1,"poll":2,"later":{"x":1}}`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(*Poll).N; got != 2 {
		t.Errorf("poll number: got %d, want 2", got)
	}
	job, err := DecodeJob([]byte(`{"v":1,"id":"j1","state":"rendering","later":{"x":[1]},"sooner":"<&>"}`))
	if err != nil || job.State != Rendering {
		t.Fatalf("record with unknown fields: got %+v, %v", job, err)
	}
	text, err := job.Clone().Encode()
	if err != nil || !json.Valid(text) || !bytes.HasSuffix(text, []byte(`,"later":{"x":[1]},"sooner":"<&>"}`)) {
		t.Errorf("the unknown fields are not kept: %s, %v", text, err)
	}
}

func TestLaterVersionsAreNotBroken(t *testing.T) {
	t.Parallel()
	if _, err := Decode(asynq.NewTask("hourglass:poll", []byte(`{"v":2,"job_id":"j1","epoch":1,"poll":2}`))); !errors.Is(err, ErrVersion) {
		t.Errorf("payload: got %v, want ErrVersion", err)
	}
	if _, err := DecodeJob([]byte(`{"v":2,"id":"j1"}`)); !errors.Is(err, ErrVersion) {
		t.Errorf("record: got %v, want ErrVersion", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, taskType, payload string }{
		{"not JSON", "hourglass:poll", `poll me`},
		{"wrong type of a field", "hourglass:poll", `{"v":1,"job_id":"j1","epoch":1,"poll":"two"}`},
		{"no stage's task", "hourglass:polls", `{"v":1,"job_id":"j1","epoch":1}`},
		{"later version", "hourglass:poll", `{"v":2,"job_id":"j1","epoch":1,"poll":2}`},
		{"no version", "hourglass:poll", `{"job_id":"j1","epoch":1}`},
		{"no epoch", "hourglass:poll", `{"v":1,"job_id":"j1"}`},
		{"id that is a path", "hourglass:poll", `{"v":1,"job_id":"../j1","epoch":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if p, err := Decode(asynq.NewTask(tt.taskType, []byte(tt.payload))); err == nil {
				t.Errorf("accepted: %+v", p)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range samplePayloads() {
		text, err := encode(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.Stage().Type(), text)
	}
	f.Fuzz(func(t *testing.T, taskType string, payload []byte) {
		p, err := Decode(asynq.NewTask(taskType, payload))
		if err == nil && CheckID(p.Head().JobID) != nil {
			t.Errorf("accepted the id %q", p.Head().JobID)
		}
	})
}
