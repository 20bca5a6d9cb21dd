package operations

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAllListsEveryOperationOnce(t *testing.T) {
	t.Parallel()
	var names []string
	kinds := map[Kind]int{}
	for _, o := range All() {
		names = append(names, o.Name)
		kinds[o.Kind]++
		if o.Path != "/v1/"+o.Name {
			t.Errorf("%s: path %q", o.Name, o.Path)
		}
		if o.Typical <= 0 {
			t.Errorf("%s: typical time %v", o.Name, o.Typical)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(minimal)), names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[Kind]int{Video: 12, Image: 14, Audio: 2}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		kind    Kind
		typical time.Duration
		assets  []string
	}{
		{"text-to-video", Video, 51 * time.Second, nil},
		{"ai-gif-generator", Image, 23 * time.Second, nil},
		{"ai-voice-cloner", Audio, 21 * time.Second, []string{"assets.audio_file_path"}},
		{"ai-image-editor", Image, 9 * time.Second, []string{"assets.image_file_paths[]"}},
		{"animation", Video, 596 * time.Second, []string{"assets.audio_file_path", "assets.image_file_path"}},
		{"face-swap", Video, 96 * time.Second, []string{
			"assets.face_mappings[].new_face", "assets.face_mappings[].original_face",
			"assets.image_file_path", "assets.video_file_path",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := operation(t, tt.name)
			if got.Kind != tt.kind || got.Typical != tt.typical {
				t.Errorf("got %s, %v; want %s, %v", got.Kind, got.Typical, tt.kind, tt.typical)
			}
			if diff := cmp.Diff(tt.assets, got.Assets); diff != "" {
				t.Errorf("assets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookupOfWhatCreatesNoProject(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "face", "face-detection", "files/upload-urls", "Face-Swap", "/v1/face-swap"} {
		if _, ok := Lookup(name); ok {
			t.Errorf("Lookup(%q) found something", name)
		}
	}
}

func TestCatalogueIsOutOfReach(t *testing.T) {
	t.Parallel()
	changed := operation(t, "face-swap")
	changed.Assets[0] = "changed"
	clear(changed.Schema())
	All()[0].Name = "changed"

	again := operation(t, "face-swap")
	if again.Assets[0] == "changed" || !json.Valid(again.Schema()) || All()[0].Name == "changed" {
		t.Error("a caller changed the catalogue")
	}
}

func TestSchemaTellsTheRules(t *testing.T) {
	t.Parallel()
	for _, o := range All() {
		var schema struct{ Description string }
		if err := json.Unmarshal(o.Schema(), &schema); err != nil {
			t.Fatalf("%s: %v", o.Name, err)
		}
		for _, rule := range o.Rules() {
			if !strings.Contains(schema.Description, rule) {
				t.Errorf("%s: got description %q, want %q in it", o.Name, schema.Description, rule)
			}
		}
		if (schema.Description != "") != (len(o.Rules()) > 0) {
			t.Errorf("%s: got description %q for %d rules", o.Name, schema.Description, len(o.Rules()))
		}
	}
}

func TestSchemaIsThePublishedOneButForTheRules(t *testing.T) {
	t.Parallel()
	for _, o := range All() {
		got := o.Schema()
		if len(o.Rules()) > 0 {
			_, rest, _ := strings.Cut(string(got), `.",`)
			got = json.RawMessage("{" + rest)
		}
		if diff := cmp.Diff(string(o.schema), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.Name, diff)
		}
	}
	if schema := (Operation{}).Schema(); schema != nil {
		t.Errorf("got %s from no operation", schema)
	}
}

func TestSchemaIsJSONSchema(t *testing.T) {
	t.Parallel()
	for _, o := range All() {
		schema := string(o.Schema())
		if !strings.Contains(schema, `"$schema":"https://json-schema.org/draft/2020-12/schema"`) {
			t.Errorf("%s: does not name its dialect", o.Name)
		}
		if strings.Contains(schema, `"nullable"`) {
			t.Errorf("%s: speaks OpenAPI", o.Name)
		}
	}
}

func TestParseCatalogueRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		`{`,
		`[{"name":"a","typical":"soon","schema":{}}]`,
		`[{"name":"a","typical":"1s","schema":[]}]`,
	} {
		if _, err := parseCatalogue([]byte(file)); err == nil {
			t.Errorf("parseCatalogue(%s) found nothing wrong", file)
		}
	}
}
