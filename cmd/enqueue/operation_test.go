package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestOperationCommands: every operation has a command in which no two flags have one name, whose help lists each field of
// its schema, and whose example is taken.
func TestOperationCommands(t *testing.T) {
	t.Parallel()
	for _, o := range operations.All() {
		fields := fieldsOf(o)
		var names, words []string
		command := operationCommand(o, nil, nil, nil)
		for _, flag := range command.Flags {
			names = append(names, flag.Names()...)
		}
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) || slices.Contains(names, "help") {
			t.Errorf("%s: two flags of one name among %v", o.Name, names)
		}
		for _, asset := range o.Assets {
			if path, _, _ := strings.Cut(asset, "[]"); !slices.ContainsFunc(fields, func(f field) bool { return f.path == path }) {
				t.Errorf("%s: no flag for %s", o.Name, asset)
			}
		}
		for _, f := range exampleFields(o, fields) {
			value := f.example(o)
			if f.isFile(o) {
				value = "https://example.com/" + value
			}
			words = append(words, "--"+f.path, value)
			if help := command.Description; !strings.Contains(help, "--"+f.path+" "+quoted(f.example(o))) {
				t.Errorf("%s: no %s in its example", o.Name, f.path)
			}
		}
		if len(fields) == 0 || len(words) == 0 {
			t.Errorf("%s: %d fields, example %v", o.Name, len(fields), words)
		}
		if out, said, code := enqueue(t, nowhere, "", append([]string{o.Name, "--dry-run"}, words...)...); code != 0 || said != "" || out == "" {
			t.Errorf("%s %v: exit %d, %s", o.Name, words, code, said)
		}
		if out, said, code := enqueue(t, nowhere, "", o.Name, "--dry-run"); code != exitRefused || out != "" || !strings.Contains(said, ": required") {
			t.Errorf("%s without its fields: exit %d, %s%s", o.Name, code, out, said)
		}
	}
}

// TestFieldFlags: a command of an operation hands in what submit does with --set.
func TestFieldFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		operation string
		flags     []string
		same      []string // of submit
	}{
		{"texts and numbers", "text-to-video", []string{"--end_seconds", "5.50", "--style.prompt", "a robot, waving"}, []string{"--set", "end_seconds=5.50", "--set", "style.prompt=a robot, waving"}},
		{"a text that looks like a number", "text-to-video", []string{"--end_seconds=5", "--style.prompt", "12"}, []string{"--set", "end_seconds=5", "--set", `style.prompt="12"`}},
		{"yes and no", "text-to-video", []string{"--end_seconds", "5", "--style.prompt", "x", "--audio=false"}, []string{"--set", "end_seconds=5", "--set", "style.prompt=x", "--set", "audio=false"}},
		{"a list of texts", "ai-image-editor", []string{"--style.prompt", "x", "--assets.image_file_paths", "https://a.b/1,2.png", "--assets.image_file_paths", "https://a.b/3.png"}, []string{"--set", "style.prompt=x", "--set", `assets.image_file_paths=["https://a.b/1,2.png","https://a.b/3.png"]`}},
		{"a list of objects", "face-swap", swapped("--assets.face_mappings", `[{"new_face":"https://a.b/1.png","original_face":"api-assets/x/0-0.png"}]`), append([]string{"--body", `{"assets":{"video_source":"file","video_file_path":"https://a.b/1.mp4","face_swap_mode":"individual-faces"},"start_seconds":0,"end_seconds":5}`}, "--set", `assets.face_mappings=[{"new_face":"https://a.b/1.png","original_face":"api-assets/x/0-0.png"}]`)},
		{"over a body and --set", "text-to-video", []string{"--body", `{"name":"n","end_seconds":9}`, "--set", "style.prompt=y", "--end_seconds", "5", "--style.prompt", "x"}, []string{"--body", `{"name":"n","end_seconds":5,"style":{"prompt":"x"}}`}},
		{"options", "text-to-video", []string{"--end_seconds", "5", "--style.prompt", "x", "--id", "i", "--tenant", "acme", "--priority", "high", "--meta", "a=b"}, []string{"--set", "end_seconds=5", "--set", "style.prompt=x", "--id", "i", "--tenant", "acme", "--priority", "high", "--meta", "a=b"}},
	} {
		got, said, code := enqueue(t, nowhere, "", append([]string{tt.operation, "--dry-run"}, tt.flags...)...)
		want, wrong, expected := enqueue(t, nowhere, "", append([]string{"submit", tt.operation, "--dry-run"}, tt.same...)...)
		if code != 0 || expected != 0 || withoutID(t, got) != withoutID(t, want) {
			t.Errorf("%s: exit %d and %d, %s%s%s", tt.name, code, expected, said, wrong, cmp.Diff(want, got))
		}
	}
}

func swapped(more ...string) []string {
	return append([]string{"--assets.video_source", "file", "--assets.video_file_path", "https://a.b/1.mp4", "--start_seconds", "0", "--end_seconds", "5", "--assets.face_swap_mode", "individual-faces"}, more...)
}

// withoutID is a line without the id, unless that was given.
func withoutID(t *testing.T, line string) string {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	if fields["id"] != "i" {
		delete(fields, "id")
	}
	return encode(t, fields)
}

func TestFieldFlagRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"text-to-video", "--end_seconds", "long", "--style.prompt", "x"}, exitRefused, "end_seconds: must be a number"},
		{[]string{"text-to-video", "--end_seconds", "5", "--style.prompt", "x", "--resolution", "9000p"}, exitRefused, "resolution: must be one of"},
		{[]string{"text-to-video", "--style.promt", "x"}, exitUsage, "style.promt"},
		{[]string{"text-to-video", "--style.prompt", "caf\xe9"}, exitUsage, "--style.prompt"},
		{[]string{"text-to-video", "--body", `{"style":7}`, "--style.prompt", "x"}, exitUsage, "--style.prompt: prompt: there is no object"},
		{[]string{"text-to-video", "face-swap"}, exitUsage, `unexpected argument "face-swap"`},
	} {
		if out, said, code := enqueue(t, nowhere, "", tt.args...); code != tt.code || out != "" || !strings.Contains(said, tt.says) {
			t.Errorf("%q: exit %d, want %d; %s", tt.args, code, tt.code, said)
		}
	}
}

// TestOperationCommandUploads: files of this machine are uploaded as by submit, and --wait waits.
//
//nolint:paralleltest // sets variables
func TestOperationCommandUploads(t *testing.T) {
	d := newDesk(t)
	face := d.file("me.jpg", "a face")
	out, said, code := d.enqueue("photo-colorizer", "--id", "a", "--assets.image_file_path", face, "--json")
	var status tasks.Status
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != 0 || status.ID != "a" || d.uploads() != 1 || !strings.Contains(said, "uploading "+face) {
		t.Fatalf("exit %d after %d uploads, %s%s: %v", code, d.uploads(), out, said, err)
	}
	if body := string(d.job("a").Body); !strings.Contains(body, `"api-assets/`) || strings.Contains(body, d.dir) {
		t.Errorf("enqueued as %s", body)
	}
	stand(t, d.redis, "a", func(job *tasks.Job) { job.State = tasks.Done })
	if out, said, code := d.enqueue("photo-colorizer", "--id", "a", "--assets.image_file_path", face, "--wait"); code != 0 || !strings.HasSuffix(out, "\tdone\n") || d.uploads() != 1 {
		t.Errorf("again, to wait: exit %d, %s%s", code, out, said)
	}
}

// TestJSONEverywhere: what a command prints with --json is an object in each line.
func TestJSONEverywhere(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	for _, args := range [][]string{
		{"submit", "text-to-video", "--id", "a", "--set", "end_seconds=5", "--set", "style.prompt=x"},
		{"text-to-video", "--id", "b", "--end_seconds", "5", "--style.prompt", "x"},
		{"text-to-video", "--id", "c", "--end_seconds", "5", "--style.prompt", "x", "--dry-run"},
		{"status", "a"}, {"list"}, {"operations"}, {"schema", "face-swap"}, {"cancel", "a"}, {"wait", "a"},
	} {
		out, said, _ := enqueue(t, url, "", append(args, "--json")...)
		if out == "" {
			t.Errorf("%v prints nothing: %s", args, said)
		}
		for line := range strings.Lines(out) {
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Errorf("%v: %q: %v", args, line, err)
			}
		}
	}
	stand(t, url, "b", func(job *tasks.Job) { job.State, job.Error = tasks.Failed, &tasks.Error{Stage: "create"} })
	for _, args := range [][]string{{"retry", "b"}, {"resolve", "a", "--fail"}} {
		if args[0] == "resolve" {
			stand(t, url, "a", func(job *tasks.Job) {
				job.State, job.Error, job.Attempts = tasks.Unknown, &tasks.Error{Stage: "create"}, []tasks.Attempt{{Token: "t"}}
			})
		}
		out, said, code := enqueue(t, url, "", append(args, "--json")...)
		var status tasks.Status
		if err := json.Unmarshal([]byte(out), &status); err != nil || code != 0 || status.ID != args[1] {
			t.Errorf("%v: exit %d, %q, %s", args, code, out, said)
		}
	}
}
