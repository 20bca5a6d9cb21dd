package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
)

// TestStatusJSON holds the names of the fields to the letter: other tools rely on them.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker()
	if _, stderr, code := f.enqueue("submit", "ai-image-generator", "--set", "image_count=2", "--set", "style.prompt=a, b", "--id", "j1", "--wait"); code != 0 {
		t.Fatalf("submit --wait: exit %d, %s", code, stderr)
	}
	out, stderr, code := f.enqueue("status", "--json", "j1")
	if code != 0 || strings.Count(out, "\n") != 1 || stderr != "" {
		t.Fatalf("exit %d, %q, %q", code, out, stderr)
	}
	var status map[string]any
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields("v id operation kind state project_id credits_charged polls outputs remote remote_reason error hold warnings eta created_at updated_at stored_at done_at")
	if got := slices.Sorted(maps.Keys(status)); !slices.Equal(got, slices.Sorted(slices.Values(fields))) {
		t.Errorf("fields: got %v, want %v", got, fields)
	}
	want := map[string]any{"v": 1.0, "id": "j1", "operation": "ai-image-generator", "kind": "image", "state": "done", "credits_charged": 10.0, "remote": "deleted", "remote_reason": nil, "error": nil, "hold": nil, "eta": nil}
	for field, value := range want {
		if status[field] != value {
			t.Errorf("%s: got %v, want %v", field, status[field], value)
		}
	}
	if w, ok := status["warnings"].([]any); !ok || len(w) != 0 {
		t.Errorf("warnings: got %v, want an empty list", status["warnings"])
	}
	outputs := status["outputs"].([]any)
	if len(outputs) != 2 {
		t.Fatalf("outputs: %v", outputs)
	}
	second := outputs[1].(map[string]any)
	if got := slices.Sorted(maps.Keys(second)); !slices.Equal(got, []string{"checksum", "content_type", "key", "n", "size", "url"}) {
		t.Errorf("fields of an output: %v", got)
	}
	if second["n"] != 2.0 || second["key"] != "out/j1/2.png" || second["url"] != "s3://media/out/j1/2.png" || second["content_type"] != "image/png" || !strings.HasPrefix(second["checksum"].(string), "crc64nvme:") {
		t.Errorf("output: %v", second)
	}
	task, err := f.inspector.GetTaskInfo("hourglass-cleanup", "j1:cleanup")
	if err != nil || task.State != asynq.TaskStateCompleted {
		t.Fatalf("the finished task is not there to be seen: %+v, %v", task, err)
	}
	var result struct {
		State string
		Keys  []string
	}
	if err := json.Unmarshal(task.Result, &result); err != nil || result.State != "done" || len(result.Keys) != 2 || strings.Contains(string(task.Result), "\n") {
		t.Errorf("its result: %s, %v", task.Result, err)
	}
	for _, field := range []string{"created_at", "updated_at", "stored_at", "done_at"} {
		if _, err := time.Parse(time.RFC3339Nano, status[field].(string)); err != nil {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestExitCodes holds every exit code of the design, to the number.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	f.startWorker()
	prompt := []string{"--set", "end_seconds=5", "--set", "style.prompt=robot"}
	submit := func(id string, more ...string) []string {
		return append(append([]string{"submit", "text-to-video", "--id", id}, prompt...), more...)
	}
	f.put("/_fake/key", `{"revoked":true}`) // so that jobs stay
	tests := []struct {
		name string
		args []string
		code int
		says string // on stderr
	}{
		{"ok", submit("stays"), 0, ""},
		{"the same again", submit("stays"), 0, ""},
		{"flags before arguments", append([]string{"submit", "--id", "stays"}, append(prompt, "text-to-video")...), 0, ""},
		{"status", []string{"status", "stays"}, 0, ""},
		{"no such job", []string{"status", "nobody"}, 1, "no such job: nobody"},
		{"wait for no such job", []string{"wait", "nobody"}, 1, "no such job: nobody"},
		{"no such command", []string{"sumbit"}, 2, "sumbit"},
		{"no such flag", submit("x", "--wiat"), 2, "wiat"},
		{"no operation", []string{"submit"}, 2, "OPERATION"},
		{"bad id", submit("a/b"), 2, "a/b"},
		{"bad --set", submit("x", "--set", "prompt"), 2, "PATH=VALUE"},
		{"no file", []string{"submit", "text-to-video", "--body", "@/nowhere.json"}, 2, "/nowhere.json"},
		{"bad timeout", []string{"wait", "stays", "--timeout", "soon"}, 2, "soon"},
		{"bad Redis URL", []string{"--redis-url", "http://:secretpass@x", "status", "stays"}, 2, "REDIS_URL"},
		{"a body that is no JSON", []string{"submit", "text-to-video", "--body", "{"}, 2, "--body"},
		{"refused, though Redis is away", []string{"--redis-url", "redis://127.0.0.1:1", "submit", "text-to-smell"}, 4, "text-to-smell"},
		{"a wrong password", []string{"--redis-url", strings.Replace(f.redisURL, "redis://", "redis://ada:secretpass@", 1), "status", "stays"}, 1, "REDIS_URL"},
		{"missing field", []string{"submit", "text-to-video", "--set", "end_seconds=5"}, 4, "style"},
		{"out of bounds", []string{"submit", "text-to-video", "--set", "end_seconds=500", "--set", "style.prompt=x"}, 4, "end_seconds"},
		{"unknown operation", []string{"submit", "text-to-smell"}, 4, "text-to-smell"},
		{"another request", submit("stays", "--set", "end_seconds=6"), 5, "stays"},
		{"Redis is away", []string{"--redis-url", "redis://127.0.0.1:1", "status", "stays"}, 75, "REDIS_URL"},
		{"wait times out", []string{"wait", "stays", "--timeout", "300ms"}, 124, "enqueue wait stays"},
	}
	for _, tt := range tests {
		_, stderr, code := f.enqueue(tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.says) || tt.code != 0 && stderr == "" {
			t.Errorf("%s: exit %d, want %d with %q; it said %q", tt.name, code, tt.code, tt.says, stderr)
		}
		if strings.Contains(stderr, "secretpass") {
			t.Errorf("%s: shows the password: %s", tt.name, stderr)
		}
	}
	f.interrupt("stays")

	f.put("/_fake/key", `{"revoked":false}`)
	f.put("/_fake/behavior", `{"error":"no_source_face"}`)
	out, stderr, code := f.enqueue(submit("fails", "--wait")...)
	if code != 3 || !strings.Contains(out, "no_source_face") || !strings.Contains(stderr, "fails is failed") {
		t.Errorf("a job failed: exit %d, %q, %q", code, out, stderr)
	}
	if got := f.totals().Deletes; got != 0 {
		t.Errorf("%d deletes of a project that failed", got)
	}
}

// interrupt waits for a job that stays, and presses Ctrl-C.
func (f *fleet) interrupt(id string) {
	f.t.Helper()
	waiting := f.start("enqueue", "wait", id)
	if waiting.find("waiting for 1 job") == "" {
		f.t.Fatalf("it does not wait: %s", waiting.text())
	}
	if err := waiting.process.Process.Signal(syscall.SIGINT); err != nil {
		f.t.Fatal(err)
	}
	<-waiting.exited
	if code := waiting.process.ProcessState.ExitCode(); code != 130 || waiting.find("enqueue wait "+id) == "" {
		f.t.Errorf("interrupted: exit %d: %s", code, waiting.text())
	}
}
