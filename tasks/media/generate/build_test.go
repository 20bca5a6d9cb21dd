package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

func TestTypesAreFresh(t *testing.T) {
	t.Parallel()
	files, err := build(operations.All())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile("../" + name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate ./tasks/media", name)
		}
	}
	found, err := filepath.Glob("../*_gen*.go")
	if err != nil || len(found) != len(files) {
		t.Errorf("%d generated files, want %d: run go generate ./tasks/media", len(found), len(files))
	}
}

func TestGoName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ai-qr-code-generator": "AIQRCodeGenerator", "youtube_url": "YouTubeURL", "searchWeb": "SearchWeb", "FULL": "Full",
		"16x9": "16x9", "all-faces": "AllFaces", "fps": "FPS",
	} {
		if got := goName(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// TestHow: when a field is a pointer, and when it is left out.
func TestHow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, field string
		required    []string
		pointer     string
		omit        string
	}{
		{"required number", `{"type":"number"}`, []string{"f"}, "", ""},
		{"required text: missing, if it is empty", `{"type":"string"}`, []string{"f"}, "", ",omitempty"},
		{"number whose zero may be a wish", `{"type":"number"}`, nil, "*", ",omitempty"},
		{"number that can't be zero", `{"type":"number","minimum":1}`, nil, "", ",omitempty"},
		{"number that is zero by default", `{"type":"number","default":0}`, nil, "", ",omitempty"},
		{"one of some numbers", `{"type":"number","enum":[1,4]}`, nil, "", ",omitempty"},
		{"one of some numbers, with zero", `{"type":"number","enum":[0,4]}`, nil, "*", ",omitempty"},
		{"true or false", `{"type":"boolean"}`, nil, "*", ",omitempty"},
		{"true or false, by default false", `{"type":"boolean","default":false}`, nil, "", ",omitempty"},
		{"true or false, by default true", `{"type":"boolean","default":true}`, nil, "*", ",omitempty"},
		{"object", `{"type":"object"}`, nil, "", ",omitzero"},
		{"required object", `{"type":"object"}`, []string{"f"}, "", ""},
		{"text or null", `{"type":["string","null"]}`, nil, "", ",omitempty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s schema
			if err := json.Unmarshal([]byte(tt.field), &s); err != nil {
				t.Fatal(err)
			}
			if pointer, omit := how(&schema{Required: tt.required}, "f", &s); pointer != tt.pointer || omit != tt.omit {
				t.Errorf("got %q, %q; want %q, %q", pointer, omit, tt.pointer, tt.omit)
			}
		})
	}
}
