// Command generate writes the JSON Schemas of folder schema, made of the types of package tasks, their comments and
// their constants. It runs in that folder, by go generate.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/seed-290c2414/hourglass/tasks"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := build("../tasks")
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(name, text, 0o644); err != nil { //nolint:gosec // documents, read by everybody
			return err
		}
	}
	return nil
}

// documents are the schemas by the name of their file.
var documents = map[string]struct {
	title string
	of    reflect.Type
}{
	"request.json":  {"A job as it is handed in: a line of a batch, the body of POST /v1/jobs", reflect.TypeFor[tasks.Request]()},
	"job.json":      {"A job as everybody may see it: enqueue status --json, GET /v1/jobs/{id}", reflect.TypeFor[tasks.View]()},
	"notice.json":   {"What an HTTP callback, an Asynq task and a Redis stream are told of a job", reflect.TypeFor[tasks.Notice]()},
	"manifest.json": {"manifest.json, beside the files of a job", reflect.TypeFor[tasks.Manifest]()},
	"record.json":   {"The record that Hourglass keeps of a job in Redis", reflect.TypeFor[tasks.Job]()},
	"create.json":   {"The payload of a task of the queue hourglass-create", reflect.TypeFor[tasks.Create]()},
	"poll.json":     {"The payload of a task of the queue hourglass-poll", reflect.TypeFor[tasks.Poll]()},
	"download.json": {"The payload of a task of the queue hourglass-download", reflect.TypeFor[tasks.Download]()},
	"cleanup.json":  {"The payload of a task of the queue hourglass-cleanup", reflect.TypeFor[tasks.Cleanup]()},
	"notify.json":   {"The payload of a task of the queue hourglass-notify", reflect.TypeFor[tasks.Notification]()},
}

// home is where the schemas can be read by their ids.
const home = "https://raw.githubusercontent.com/seed-290c2414/hourglass/main/schema/"

// build makes every file, of the types and of their comments in the folder of package tasks.
func build(folder string) (map[string][]byte, error) {
	words, err := readWords(folder)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	used := map[string]bool{}
	for name, d := range documents {
		w := &writer{words: words, used: used}
		root, err := w.object(d.of)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		document := node{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"$id", home + name}, {"title", d.title}}
		document = append(document, root...)
		if len(w.defs) > 0 {
			document = append(document, member{"$defs", w.defs})
		}
		text, err := document.MarshalJSON()
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := json.Indent(&out, text, "", "  "); err != nil {
			return nil, err
		}
		files[name] = append(bytes.TrimSpace(out.Bytes()), '\n')
	}
	for field := range limits {
		if !used[field] {
			return nil, fmt.Errorf("there is no %s any more: take it out of limits", field)
		}
	}
	return files, nil
}
