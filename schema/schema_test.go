package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-290c2414/hourglass/tasks"
)

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check holds a JSON text to a schema.
func check(t *testing.T, name string, text []byte) error {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return compile(t, name).Validate(instance)
}

// TestGoldenFiles: what stands in Redis and in buckets is as the schemas say.
func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../tasks/testdata/*/*.json")
	if err != nil || len(paths) < 7 {
		t.Fatalf("only %d golden files, %v", len(paths), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t, filepath.Base(path), text); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestJobs: jobs in every state, and the notices of their turns.
func TestJobs(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for _, state := range tasks.States() {
		job, err := tasks.NewJob(tasks.Request{
			Operation: "text-to-video", Body: []byte(`{"end_seconds":5,"style":{"prompt":"a tin robot"}}`),
			Options: tasks.Options{Tenant: "acme", Metadata: map[string]string{"order": "4711"}, Notify: tasks.Notify{Stream: "mine"}},
		}, at)
		if err != nil {
			t.Fatal(err)
		}
		before := job.Clone()
		job.State = state
		job.Announce(before)
		for name, v := range map[string]any{"job.json": job.View(), "record.json": job} {
			if err := check(t, name, encode(t, v)); err != nil {
				t.Errorf("%s %s: %v", state, name, err)
			}
		}
		for _, unsent := range job.Unsent {
			if err := check(t, "notice.json", encode(t, unsent.Notice)); err != nil {
				t.Errorf("%s: %v", unsent.Notice.Type, err)
			}
		}
	}
}

// TestWrongInstances: each schema refuses what is wrong, and nothing for being new.
func TestWrongInstances(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, schema, from, to string
		says                   string // empty: it is taken
	}{
		{"a field that is new", "job.json", `"polls":3`, `"polls":3,"later":{"x":1}`, ""},
		{"a state that there is not", "job.json", `"state":"done"`, `"state":"flying"`, "/state"},
		{"no id", "job.json", `"id":"j1",`, ``, "'id'"},
		{"a time that is none", "job.json", `"created_at":"2026-11-24T12:00:00Z"`, `"created_at":"yesterday"`, "date-time"},
		{"a text for a number", "job.json", `"polls":3`, `"polls":"3"`, "/polls"},
		{"another version", "job.json", `"v":1`, `"v":2`, "/v"},
		{"an output without its size", "record.json", `"size":123,`, ``, "'size'"},
		{"a body that is none", "record.json", `"body":{`, `"body":7,"x":{`, "/body"},
		{"no files", "manifest.json", `"outputs":[`, `"outputs":[],"x":[`, "/outputs"},
		{"no job in a notice", "notice.json", `"data":`, `"job":`, "'data'"},
		{"a notice that is new", "notice.json", `"type":"job.stored"`, `"type":"job.sold"`, ""},
		{"no number of a poll", "poll.json", `"poll":3,`, ``, "'poll'"},
		{"epoch 0", "cleanup.json", `"epoch":2`, `"epoch":0`, "/epoch"},
		{"no project", "download.json", `,"project_id":"cmp1"`, ``, "'project_id'"},
		{"a priority that there is not", "create.json", `"options":{`, `"options":{"priority":"urgent",`, "/options/priority"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			was := golden(t, tt.schema)
			text := bytes.Replace(was, []byte(tt.from), []byte(tt.to), 1)
			if bytes.Equal(text, was) {
				t.Fatalf("no %s in %s", tt.from, was)
			}
			verdict(t, tt.says, check(t, tt.schema, text))
		})
	}
}

func verdict(t *testing.T, says string, err error) {
	t.Helper()
	switch {
	case says == "" && err != nil:
		t.Errorf("refused: %v", err)
	case says != "" && (err == nil || !strings.Contains(err.Error(), says)):
		t.Errorf("got %v, want a refusal that says %s", err, says)
	}
}

// golden is a JSON text that the schema of that name takes.
func golden(t *testing.T, schema string) []byte {
	t.Helper()
	if schema == "job.json" {
		schema = "record.json" // which is a job, and more
	}
	paths, err := filepath.Glob("../tasks/testdata/*/" + schema)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden file %s: %v", schema, err)
	}
	text, err := os.ReadFile(paths[len(paths)-1])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRequests: the schema of a request takes what Submit takes, and refuses what it refuses.
func TestRequests(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 201)
	tests := []struct {
		name, id, options string
		ok                bool
	}{
		{"no id", ``, `{}`, true},
		{"an id", `order-4711`, `{}`, true},
		{"an id that is a path", `../x`, `{}`, false},
		{"an id that is too long", long, `{}`, false},
		{"everything", `j1`, `{"overwrite":true,"priority":"high","tenant":"acme","give_up":"1h30m","key_prefix":"2026/acme","metadata":{"order":"4711"},"keep_remote":true,` +
			`"notify":{"url":"https://example.com/hook?x=1","task":{"queue":"media","type":"media:ready"},"stream":"acme:{media}"}}`, true},
		{"priority", `j1`, `{"priority":"urgent"}`, false},
		{"tenant", `j1`, `{"tenant":"a b"}`, false},
		{"give_up in days", `j1`, `{"give_up":"2d"}`, false},
		{"give_up as a number", `j1`, `{"give_up":3600}`, false},
		{"key_prefix that begins with a slash", `j1`, `{"key_prefix":"/a"}`, false},
		{"key_prefix that climbs", `j1`, `{"key_prefix":"a/../b"}`, false},
		{"key_prefix that is too long", `j1`, `{"key_prefix":"` + long + `"}`, false},
		{"metadata that is no text", `j1`, `{"metadata":{"n":1}}`, false},
		{"metadata without a name", `j1`, `{"metadata":{"":"x"}}`, false},
		{"a callback that is no URL", `j1`, `{"notify":{"url":"example.com"}}`, false},
		{"a callback without a host", `j1`, `{"notify":{"url":"https:///x"}}`, false},
		{"a task without a type", `j1`, `{"notify":{"task":{"queue":"media"}}}`, false},
		{"a task of a blank type", `j1`, `{"notify":{"task":{"queue":"media","type":" "}}}`, false},
		{"a task of ours", `j1`, `{"notify":{"task":{"queue":"hourglass-create","type":"x"}}}`, false},
		{"a stream of ours", `j1`, `{"notify":{"stream":"hourglass:jobs"}}`, false},
		{"a stream with a space", `j1`, `{"notify":{"stream":"a b"}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := []byte(`{"id":"` + tt.id + `","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"x"}},"options":` + tt.options + `}`)
			var r tasks.Request
			err := json.Unmarshal(text, &r)
			if err == nil {
				_, err = tasks.NewJob(r, time.Now())
			}
			if said := check(t, "request.json", text); (said == nil) != tt.ok || (err == nil) != tt.ok {
				t.Errorf("want ok %v; the schema says: %v; Submit says: %v", tt.ok, said, err)
			}
		})
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
