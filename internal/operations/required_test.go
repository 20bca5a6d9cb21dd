package operations

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// branches are the ways to make a field required that the schema leaves optional: with the
// change, the minimal request is valid; without the field then, it no longer is.
var branches = []struct {
	operation, change, field string
}{
	{"animation", `{"style":{"art_style":"Custom","art_style_custom":"chalk"}}`, "style.art_style_custom"},
	{"animation", `{"style":{"prompt_type":"custom","prompt":"a cat"}}`, "style.prompt"},
	{"animation", `{"assets":{"audio_source":"file","audio_file_path":"audio/1.mp3"}}`, "assets.audio_file_path"},
	{"animation", `{"assets":{"audio_source":"youtube","youtube_url":"https://youtu.be/1"}}`, "assets.youtube_url"},
	{"auto-subtitle-generator", `{}`, "style.template"},
	{"character-replace", `{"style":{"selection_mode":"point","points":[{"position_x":1,"position_y":2,"time_seconds":0.5}]}}`, "style.points"},
	{"face-swap", `{}`, "assets.video_file_path"},
	{"face-swap", `{"assets":{"video_source":"youtube","youtube_url":"https://youtu.be/1"}}`, "assets.youtube_url"},
	{"face-swap", `{}`, "assets.image_file_path"},
	{"face-swap", `{"assets":{"face_swap_mode":"individual-faces","face_mappings":[{"original_face":"api-assets/1/0-0.png","new_face":"image/1.png"}]}}`, "assets.face_mappings"},
	{"face-swap-photo", `{}`, "assets.source_file_path"},
	{"face-swap-photo", `{"assets":{"face_swap_mode":"individual-faces","face_mappings":[{"original_face":"api-assets/1/0-0.png","new_face":"image/1.png"}]}}`, "assets.face_mappings"},
	{"lip-sync", `{}`, "assets.video_file_path"},
	{"lip-sync", `{"assets":{"video_source":"youtube","youtube_url":"https://youtu.be/1"}}`, "assets.youtube_url"},
	{"video-to-video", `{}`, "assets.video_file_path"},
	{"video-to-video", `{"assets":{"video_source":"youtube","youtube_url":"https://youtu.be/1"}}`, "assets.youtube_url"},
	{"video-to-video", `{"style":{"prompt_type":"custom","prompt":"a cat"}}`, "style.prompt"},
	{"video-to-video", `{"style":{"prompt_type":"append_default","prompt":"a cat"}}`, "style.prompt"},
}

func TestMinimalRequestsPass(t *testing.T) {
	t.Parallel()
	for name, body := range minimal {
		mustPass(t, operation(t, name), body)
	}
	for _, b := range branches {
		mustPass(t, operation(t, b.operation), changed(t, b.operation, b.change))
	}
}

func TestEveryRequiredFieldIsRequired(t *testing.T) {
	t.Parallel()
	for _, o := range All() {
		if n := removeRequired(t, o, minimal[o.Name]); n == 0 {
			t.Errorf("%s: no required field was found", o.Name)
		}
	}
	// Lists are not in the minimal requests, so these reach the fields of their elements.
	for _, b := range branches {
		if n := removeRequired(t, operation(t, b.operation), changed(t, b.operation, b.change)); n == 0 {
			t.Errorf("%s: no required field was found in %s", b.operation, b.change)
		}
	}
}

// removeRequired takes every field that the schema requires out of a valid request, one at
// a time, and returns how many there were.
func removeRequired(t *testing.T, o Operation, body []byte) (n int) {
	t.Helper()
	request, problem := decode(body)
	if problem != nil {
		t.Fatal(problem)
	}
	var schema map[string]any
	if err := json.Unmarshal(o.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	eachRequired("", schema, request, func(path, name string, object map[string]any) {
		n++
		taken := object[name]
		delete(object, name)
		mustMiss(t, o, encode(t, request), path+": required")
		object[name] = taken
	})
	return n
}

// eachRequired visits the required fields of all objects that are in the request.
func eachRequired(path string, schema map[string]any, value any, visit func(path, name string, object map[string]any)) {
	switch value := value.(type) {
	case []any:
		items := schema["items"].(map[string]any)
		for i, element := range value {
			eachRequired(at(path, i), items, element, visit)
		}
	case map[string]any:
		names, _ := schema["required"].([]any)
		for _, name := range names {
			visit(below(path, name.(string)), name.(string), value)
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, child := range value {
			eachRequired(below(path, name), properties[name].(map[string]any), child, visit)
		}
	}
}

func TestEveryConditionallyRequiredFieldIsRequired(t *testing.T) {
	t.Parallel()
	if rules := strings.Count(allRules(), " is required if "); rules != len(branches) || rules == 0 {
		t.Errorf("%d rules require a field, %d branches are tested", rules, len(branches))
	}
	for _, b := range branches {
		body := without(t, changed(t, b.operation, b.change), b.field)
		mustMiss(t, operation(t, b.operation), body, b.field+": required, because ")
	}
}

// What is given but empty is reported as well, and once: as missing, empty or of the wrong
// type, whichever the field's schema makes of it.
func TestNothingIsReportedOnce(t *testing.T) {
	t.Parallel()
	for _, b := range branches {
		group, name, _ := strings.Cut(b.field, ".")
		for _, nothing := range []string{"null", `""`, "[]"} {
			change := fmt.Sprintf(`{%q:{%q:%s}}`, group, name, nothing)
			body := overlaid(t, changed(t, b.operation, b.change), change)
			mustMiss(t, operation(t, b.operation), body, b.field+": ")
		}
	}
}

// without takes a field out of an object of the request: "assets.youtube_url".
func without(t *testing.T, body []byte, field string) []byte {
	t.Helper()
	request, problem := decode(body)
	if problem != nil {
		t.Fatal(problem)
	}
	group, name, _ := strings.Cut(field, ".")
	delete(request[group].(map[string]any), name)
	return encode(t, request)
}

// mustMiss wants one problem and no other, with these words at its beginning.
func mustMiss(t *testing.T, o Operation, body []byte, want string) {
	t.Helper()
	_, err := o.Validate(body)
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Errorf("%s: got error %v, want %q for %s", o.Name, err, want, body)
		return
	}
	if got := lines(invalid.Problems); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("%s: got %q, want one that begins with %q for %s", o.Name, got, want, body)
	}
}

func mustPass(t *testing.T, o Operation, body []byte) {
	t.Helper()
	warnings, err := o.Validate(body)
	if err != nil || len(warnings) > 0 {
		t.Errorf("%s: got warnings %v, error %v; want neither of %s", o.Name, warnings, err, body)
	}
}
