package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryRequiredField: the smallest body of each operation is taken, and without any one of its
// fields it is refused with exit code 4 and the field's path, before Redis is asked.
func TestEveryRequiredField(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../internal/operations/testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	var bodies map[string]map[string]any
	if err := json.Unmarshal(text, &bodies); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for operation, body := range bodies {
		if out, said, code := enqueue(t, nowhere, "", "submit", operation, "--dry-run", "--body", encode(t, body)); code != 0 || said != "" || out == "" {
			t.Errorf("%s: exit %d, %s", operation, code, said)
		}
		eachField("", body, func(path string) {
			checked++
			for name, args := range map[string][]string{
				"submit": {"submit", operation, "--body", encode(t, body)},
				"batch":  {"batch", write(t, `{"operation":"`+operation+`","body":`+encode(t, body)+`}`)},
			} {
				out, said, code := enqueue(t, nowhere, "", args...)
				if code != 4 || out != "" || !strings.Contains(said, path+": required") {
					t.Errorf("%s %s without %s: exit %d, %s", name, operation, path, code, said)
				}
			}
		})
	}
	if len(bodies) != 28 || checked < 100 {
		t.Errorf("checked %d fields of %d operations, want at least 100 of 28", checked, len(bodies))
	}
}

// eachField calls visit for every field, while the field is missing.
func eachField(path string, object map[string]any, visit func(path string)) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(path+"."+name, ".")
		value := object[name]
		delete(object, name)
		visit(at)
		object[name] = value
		if child, isObject := value.(map[string]any); isObject {
			eachField(at, child, visit)
		}
	}
}

func encode(t *testing.T, body any) string {
	t.Helper()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}
