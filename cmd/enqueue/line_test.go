package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	clip  = `{"id":"clip","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"a tin robot"}}}`
	voice = `{"operation":"ai-voice-generator","body":{"style":{"prompt":"<hello>","voice_name":"Morgan Freeman"}},"options":{"overwrite":true}}`
)

// readBatch reads a file.
func readBatch(t testing.TB, f form, text string) (*batch, []entry) {
	t.Helper()
	b, err := newBatch(f, say{stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	if err := b.read(t.Context(), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	var entries []entry
	err = b.spool.each(func(e entry) error {
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, entries
}

func TestReadBatchRefuses(t *testing.T) {
	t.Parallel()
	const example = `want one JSON object such as {"id":"clip-1","operation":"text-to-video","body":{...}}`
	tests := []struct {
		name, text string
		want       []string
	}{
		{"half an object", clip[:20], []string{"line 1: " + example + ": unexpected EOF"}},
		{"a list", `[` + clip + `]`, []string{"line 1: " + example}},
		{"two in a line", clip + clip, []string{"line 1: " + example + ": more than one value"}},
		{"null", "null", []string{"line 1: " + example}},
		{"an id that is a number", `{"id":7,"operation":"text-to-video"}`, []string{"line 1: id: must be a string"}},
		{"an empty id", `{"id":"","operation":"text-to-video"}`, []string{"line 1: id: must not be empty; leave it out to have one made"}},
		{"an id that is null", `{"id":null,"operation":"text-to-video"}`, []string{"line 1: id: must not be empty; leave it out to have one made"}},
		{"text of another encoding", strings.Replace(clip, "tin", "caf\xe9", 1), []string{"line 1: " + example + ": not valid UTF-8"}},
		{"options that are a list", `{"operation":"text-to-video","options":[]}`, []string{"line 1: options: must be an object"}},
		{"an option that is a word", `{"operation":"text-to-video","options":{"overwrite":"yes"}}`, []string{"line 1: options.overwrite: must be true or false"}},
		{"an age that is a number", `{"operation":"text-to-video","options":{"give_up":36}}`, []string{`line 1: options.give_up: must be a duration such as "36h"`}},
		{"a bad id", strings.Replace(clip, `"clip"`, `"a/b"`, 1), []string{`line 1: job id "a/b": want 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit`}},
		{"an unknown operation", `{"operation":"text-to-vidoe","body":{}}`, []string{`line 1: unknown operation "text-to-vidoe": did you mean text-to-video?`}},
		{"metadata that is no text", `{"operation":"text-to-video","options":{"metadata":{"a":1}}}`, []string{"line 1: options.metadata: must be an object of strings"}},
		{"a misspelt way", `{"operation":"text-to-video","options":{"notify":{"uri":"x"}}}`, []string{"line 1: options.notify.uri: unknown field: want url, task, stream"}},
		{"a task with a misspelt field", `{"operation":"text-to-video","options":{"notify":{"task":{"name":"x"}}}}`, []string{"line 1: options.notify.task.name: unknown field: want queue, type"}},
		{"names in capitals", `{"Operation":"text-to-video","body":{}}`, []string{`line 1: Operation: unknown field: want id, operation, body, options`}},
		{"a misspelt id", strings.Replace(clip, `"id"`, `"job_id"`, 1), []string{`line 1: job_id: unknown field: want id, operation, body, options`}},
		{"a misspelt option", strings.Replace(clip, `"id"`, `"options":{"overwite":true},"id"`, 1), []string{`line 1: options.overwite: unknown field: want overwrite, priority, tenant, give_up, key_prefix, metadata, keep_remote, notify`}},
		{"no operation", `{"body":{}}`, []string{`line 1: unknown operation ""; see enqueue operations`}},
		{"no body", `{"operation":"text-to-video"}`, []string{"line 1: text-to-video: the body must be a JSON object, but is empty"}},
		{"every bad line, with its number", clip + "\n\n{}\n" + clip + "\nx\n", []string{`line 3: unknown operation ""; see enqueue operations`, "line 5: " + example + ": invalid character 'x' looking for beginning of value"}},
		{"every problem of a line", `{"operation":"text-to-video","body":{"end_seconds":"5"}}`, []string{"line 1: text-to-video: end_seconds: must be a number; style: required"}},
		{"one id, two requests", clip + "\n" + strings.Replace(clip, "tin", "brass", 1), []string{"line 2: id clip: stands in line 1 with a different request"}},
		{"a line without end", clip + "\n" + strings.Repeat("x", longestLine+1), []string{"line 2: longer than 1048576 bytes; the lines after it were not read"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, _ := readBatch(t, form{}, tt.text)
			var problems []string
			for _, p := range b.problems {
				problems = append(problems, fmt.Sprintf("line %d: %s", p.line, p.text))
			}
			if diff := cmp.Diff(tt.want, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadBatchAccepts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"lines":                     clip + "\n" + voice + "\n",
		"no line break at the end":  clip + "\n" + voice,
		"line breaks of Windows":    clip + "\r\n" + voice + "\r\n",
		"empty lines, and a marker": "\ufeff" + clip + "\n\n  \n" + voice,
	} {
		b, entries := readBatch(t, form{}, text)
		if b.bad > 0 || len(entries) != 2 {
			t.Errorf("%s: got %+v and %+v", name, b.problems, entries)
			continue
		}
		first, second := entries[0], entries[1]
		if !first.Named || first.Job.ID != "clip" || second.Named || second.Job.ID == "" || !second.Job.Options.Overwrite {
			t.Errorf("%s: got %+v and %+v", name, first.Job, second.Job)
		}
	}
}

func TestReadBatchWarns(t *testing.T) {
	t.Parallel()
	other := strings.Replace(clip, `"clip"`, `"other"`, 1)
	text := strings.Repeat(strings.Replace(voice, "Morgan Freeman", "Nobody", 1)+"\n", 3) + strings.Replace(other, `{"id"`, `{"options":{},"id"`, 1)
	text += strings.Repeat("\n"+clip, 2)
	b, _ := readBatch(t, form{}, text)
	if b.bad > 0 {
		t.Fatal(b.problems)
	}
	var said bytes.Buffer
	b.say.stderr = &said
	b.printWarnings()
	const want = `warning: line 1 (and 2 more lines): body: style.voice_name: not a value this version knows; sent as it is
warning: line 6: the same as an earlier line: one job
`
	if diff := cmp.Diff(want, said.String()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// FuzzReadBatch: whatever strangers send, what is accepted is printed so that it is read as the
// same jobs.
func FuzzReadBatch(f *testing.F) {
	f.Add(clip + "\n" + voice)
	f.Add("{}\n[]\nnull\n\ufeff")
	f.Fuzz(func(t *testing.T, text string) {
		b, entries := readBatch(t, form{}, text)
		if b.bad > 0 {
			return
		}
		var lines bytes.Buffer
		if err := b.print(&lines); err != nil {
			t.Fatal(err)
		}
		again, became := readBatch(t, form{}, lines.String())
		if again.bad > 0 || len(became) != len(entries) {
			t.Fatalf("%q: read again as %+v, %+v", text, again.problems, became)
		}
		for i, e := range became {
			if was := entries[i]; !e.Named || e.Job.ID != was.Job.ID || !e.Job.Same(was.Job) {
				t.Errorf("%q: line %d became %+v", text, i, e.Job)
			}
		}
	})
}
