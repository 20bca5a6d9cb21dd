package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-290c2414/hourglass/tasks"
)

// schemas are those of folder schema, compiled once.
var schemas = sync.OnceValue(func() map[string]*jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	all := map[string]*jsonschema.Schema{}
	for _, name := range []string{"record", "job", "notice", "manifest", "create", "poll", "download", "cleanup"} {
		all[name] = c.MustCompile("../../schema/" + name + ".json")
	}
	return all
})

// checkSchemas holds whatever became of a job to what the JSON Schemas promise to others.
func (w *world) checkSchemas(job *tasks.Job) {
	w.t.Helper()
	record, err := job.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	w.checkSchema("record", record)
	w.checkSchema("job", w.text(job.View()))
	for _, n := range job.Clone().Announce(&tasks.Job{}) {
		w.checkSchema("notice", w.text(n))
	}
	for _, state := range tasks.States() { // wherever it may go from here
		at := job.Clone()
		at.State = state
		if next := at.Next(); next != nil {
			w.checkSchema(string(next.Stage()), w.text(next))
		}
	}
	body, err := w.store.Open(w.t.Context(), manifestKey(job))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	manifest, err := io.ReadAll(body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.checkSchema("manifest", manifest)
}

func (w *world) checkSchema(name string, text []byte) {
	w.t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := schemas()[name].Validate(instance); err != nil {
		w.t.Errorf("schema/%s.json: %v: %s", name, err, text)
	}
}

func (w *world) text(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}
