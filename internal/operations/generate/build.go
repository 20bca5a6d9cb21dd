package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An entry is one operation as the catalogue file holds it.
type entry struct {
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	Path    string         `json:"path"`
	Assets  []string       `json:"assets,omitempty"`
	Typical string         `json:"typical"` // as time.ParseDuration reads it
	Schema  map[string]any `json:"schema"`
}

// notProjects are the POST endpoints that create no project: nothing to poll by kind,
// nothing to download, nothing to delete.
var notProjects = []string{"/v1/files/upload-urls", "/v1/face-detection"}

// build turns an API description into the catalogue: a JSON list, sorted by name, one
// operation a line, so that a new version of the API reads well as a diff.
func build(spec []byte) ([]byte, error) {
	var api description
	if err := json.Unmarshal(spec, &api); err != nil {
		return nil, fmt.Errorf("read the API description: %w", err)
	}
	var lines []string
	for _, path := range slices.Sorted(maps.Keys(api.Paths)) {
		post := api.Paths[path].Post
		if post == nil || slices.Contains(notProjects, path) {
			continue
		}
		line, err := entryLine(path, post)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		lines = append(lines, line)
	}
	return []byte("[\n" + strings.Join(lines, ",\n") + "\n]\n"), nil
}

func entryLine(path string, post *endpoint) (string, error) {
	name := strings.TrimPrefix(path, "/v1/")
	typical, ok := typicalTimes[name]
	if !ok {
		return "", fmt.Errorf("no typical time: add one to typical.go")
	}
	request, err := post.request()
	if err != nil {
		return "", err
	}
	answer, err := post.answer()
	if err != nil {
		return "", err
	}
	schema, err := convert("", request)
	if err != nil {
		return "", err
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	assets, err := assetFields(request)
	if err != nil {
		return "", err
	}
	return marshal(entry{name, kindOf(answer), path, assets, typical.String(), schema})
}

// marshal is json.Marshal without the escapes meant for HTML: people read this file.
func marshal(e entry) (string, error) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	err := enc.Encode(e)
	return strings.TrimSpace(line.String()), err
}
