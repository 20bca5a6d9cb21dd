package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCatalogueIsFresh(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../" + specFile)
	if err != nil {
		t.Fatal(err)
	}
	want, err := build(spec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../" + catalogueFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run go generate ./internal/operations", catalogueFile)
	}
	if operations := bytes.Count(want, []byte("\n")) - 2; operations != len(typicalTimes) {
		t.Errorf("%d operations, but %d typical times", operations, len(typicalTimes))
	}
}

func TestBuildRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, request, want string
	}{
		{"an operation nobody has timed", "/v1/new-tool", `{}`, "/v1/new-tool: no typical time"},
		{"a keyword", "/v1/face-swap", `{"properties":{"a":{"items":{"oneOf":[]}}}}`, "a[]: schema keyword oneOf"},
		{"a format", "/v1/face-swap", `{"properties":{"a":{"format":"date-time"}}}`, "a: schema keyword format: date-time"},
		{"a string among the assets", "/v1/face-swap", `{"properties":{"assets":{"properties":{"a":{"items":{"properties":{"caption":{"type":"string"}}}}}}}}`, "assets.a[].caption: is it a file?"},
		{"no schema", "/v1/face-swap", `null`, "no application/json schema"},
		{"properties that are none", "/v1/face-swap", `{"properties":[]}`, "properties is not an object"},
		{"a property that is none", "/v1/face-swap", `{"properties":{"a":true}}`, "a: not a schema"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := build([]byte(apiWith(tt.path, tt.request)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestBuildLeavesOutWhatCreatesNoProject(t *testing.T) {
	t.Parallel()
	for _, path := range notProjects {
		got, err := build([]byte(apiWith(path, `{"type":"object"}`)))
		if err != nil || strings.Contains(string(got), path) {
			t.Errorf("%s: got %s, error %v", path, got, err)
		}
	}
}

func TestConvertNullable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, openapi, want string
	}{
		{"a type", `{"type":"string","nullable":true}`, `{"type":["string","null"]}`},
		{"choices", `{"type":"string","enum":["a"],"nullable":true}`, `{"type":["string","null"],"enum":["a",null]}`},
		{"said to be false", `{"type":"string","nullable":false}`, `{"type":"string"}`},
		{"below", `{"properties":{"a":{"items":{"type":"number","nullable":true}}}}`, `{"properties":{"a":{"items":{"type":["number","null"]}}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := convert("", object(t, tt.openapi))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(object(t, tt.want), got); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"required":["id","estimated_frame_cost"]}`: "video",
		`{"required":["id","frame_cost"]}`:           "image",
		`{"required":["id"]}`:                        "audio",
	} {
		if got := kindOf(object(t, answer)); got != want {
			t.Errorf("%s: got %s, want %s", answer, got, want)
		}
	}
}

func apiWith(path, request string) string {
	const answer = `{"200":{"content":{"application/json":{"schema":{"required":["id"]}}}}}`
	return `{"paths":{"` + path + `":{"post":{"requestBody":{"content":{"application/json":{"schema":` +
		request + `}}},"responses":` + answer + `}}}}`
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}
