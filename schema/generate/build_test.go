package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestSchemasAreFresh(t *testing.T) {
	t.Parallel()
	files, err := build("../../tasks")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile("../" + name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("schema/%s is stale: run go generate ./schema", name)
		}
	}
	found, err := filepath.Glob("../*.json")
	if err != nil || len(found) != len(files) {
		t.Errorf("%d schemas, want %d: delete those that nothing makes", len(found), len(files))
	}
}
