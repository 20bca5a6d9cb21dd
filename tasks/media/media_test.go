package media

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// A schema is what the tests read of the API's, in their own words: the generator's would share its mistakes.
type schema struct {
	Type       any
	Properties map[string]schema
	Items      *schema
	Required   []string
	Enum       []any
	Minimum    *float64
}

func (s schema) kind() string {
	if name, ok := s.Type.(string); ok {
		return name
	}
	return s.Type.([]any)[0].(string) // or null
}

func bodyOf(t *testing.T, o operations.Operation) (reflect.Type, schema) {
	t.Helper()
	i := slices.IndexFunc(bodies, func(b interface{ Operation() string }) bool { return b.Operation() == o.Name })
	if i < 0 {
		t.Fatalf("%s has no type: run go generate ./tasks/media", o.Name)
	}
	var s schema
	if err := json.Unmarshal(o.Schema(), &s); err != nil {
		t.Fatal(err)
	}
	return reflect.TypeOf(bodies[i]), s
}

// TestFieldsAreThoseOfTheSchema: every property has its field, of its type, and no field is without one.
func TestFieldsAreThoseOfTheSchema(t *testing.T) {
	t.Parallel()
	if len(bodies) != len(operations.All()) {
		t.Errorf("%d types for %d operations", len(bodies), len(operations.All()))
	}
	for _, o := range operations.All() {
		body, s := bodyOf(t, o)
		compare(t, o.Name, body, s)
	}
}

func compare(t *testing.T, path string, goType reflect.Type, s schema) {
	t.Helper()
	switch pointer := goType.Kind() == reflect.Pointer; {
	case pointer:
		goType = goType.Elem()
	}
	kinds := map[string][]reflect.Kind{
		"object": {reflect.Struct}, "array": {reflect.Slice}, "string": {reflect.String}, "boolean": {reflect.Bool},
		"integer": {reflect.Int}, "number": {reflect.Float64, reflect.Int},
	}
	if !slices.Contains(kinds[s.kind()], goType.Kind()) {
		t.Errorf("%s: a Go %s for a JSON %s", path, goType.Kind(), s.kind())
		return
	}
	switch goType.Kind() {
	case reflect.Slice:
		compare(t, path+"[]", goType.Elem(), *s.Items)
	case reflect.Struct:
		compareFields(t, path, goType, s)
	}
}

func compareFields(t *testing.T, path string, goType reflect.Type, s schema) {
	t.Helper()
	seen := map[string]bool{}
	for f := range goType.Fields() {
		name, omit, _ := strings.Cut(f.Tag.Get("json"), ",")
		property, known := s.Properties[name]
		if !known {
			t.Errorf("%s.%s: the schema has no %q", path, f.Name, name)
			continue
		}
		seen[name] = true
		compare(t, path+"."+name, f.Type, property)
		required := slices.Contains(s.Required, name)
		if required && f.Type.Kind() == reflect.Pointer {
			t.Errorf("%s.%s: required, but a pointer", path, name)
		}
		if !required && omit == "" {
			t.Errorf("%s.%s: optional, but always sent", path, name)
		}
		if required && omit != "" && property.kind() != "string" {
			t.Errorf("%s.%s: required, but not sent if it is zero", path, name)
		}
	}
	for name := range s.Properties {
		if !seen[name] {
			t.Errorf("%s.%s: no field", path, name)
		}
	}
}

// TestMinimalRequests: the smallest request of each operation can be said, and nothing is sent beside it.
func TestMinimalRequests(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("../../internal/operations/testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	var minimal map[string]json.RawMessage
	if err := json.Unmarshal(file, &minimal); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations.All() {
		body, _ := bodyOf(t, o)
		sent := roundTrip(t, o, body, minimal[o.Name])
		if diff := cmp.Diff(value(t, minimal[o.Name]), value(t, sent)); diff != "" {
			t.Errorf("%s: what is sent (-want +got):\n%s", o.Name, diff)
		}
	}
}

// TestFullRequests: a request with every field is taken, and comes through whole.
func TestFullRequests(t *testing.T) {
	t.Parallel()
	for _, o := range operations.All() {
		body, s := bodyOf(t, o)
		full := reflect.New(body)
		fill(full.Elem(), "", s)
		text, err := json.Marshal(full.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := leaves(value(t, text)), properties(s); got != want {
			t.Errorf("%s: %d fields are sent, want %d: %s", o.Name, got, want, text)
		}
		sent := roundTrip(t, o, body, text)
		if diff := cmp.Diff(value(t, text), value(t, sent)); diff != "" {
			t.Errorf("%s: what is sent (-want +got):\n%s", o.Name, diff)
		}
	}
}

// roundTrip reads JSON into the type, where no name may be unknown to it, and returns what the type sends.
func roundTrip(t *testing.T, o operations.Operation, body reflect.Type, text []byte) []byte {
	t.Helper()
	read := reflect.New(body).Interface()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(read); err != nil {
		t.Errorf("%s: %v", o.Name, err)
	}
	sent, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	if warnings, err := o.Validate(sent); err != nil || len(warnings) > 0 {
		t.Errorf("%s: refused: %v %v", o.Name, err, warnings)
	}
	return sent
}

// values are what some fields must have beside what their schema says.
var values = map[string]any{
	"start_seconds": 1.0, "end_seconds": 5.0, "scale_factor": 2.0,
	"youtube_url": "https://www.youtube.com/watch?v=x",
}

// fill gives every field a value that its schema allows.
func fill(v reflect.Value, name string, s schema) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch given := values[name]; {
	case given != nil:
		v.Set(reflect.ValueOf(given).Convert(v.Type()))
	case v.Kind() == reflect.Struct:
		for f, field := range v.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fill(field, name, s.Properties[name])
		}
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), strings.TrimSuffix(name, "s"), *s.Items)
	case len(s.Enum) > 0:
		v.Set(reflect.ValueOf(s.Enum[0]).Convert(v.Type()))
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("api-assets/x/file.png")
	default:
		number := 5.0
		if s.Minimum != nil {
			number = max(number, math.Ceil(*s.Minimum))
		}
		v.Set(reflect.ValueOf(number).Convert(v.Type()))
	}
}

// leaves counts what is neither object nor list in a value.
func leaves(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			n += leaves(child)
		}
		return n
	case []any:
		for _, child := range v {
			n += leaves(child)
		}
		return n
	}
	return 1
}

// properties counts what is neither object nor list in a schema.
func properties(s schema) (n int) {
	switch s.kind() {
	case "object":
		for _, child := range s.Properties {
			n += properties(child)
		}
		return n
	case "array":
		return properties(*s.Items)
	}
	return 1
}

func value(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestZero: what is left out is not sent, and zero is where it is a wish.
func TestZero(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		body any
		want string
	}{
		{"nothing", TextToVideo{}, `{"end_seconds":0,"style":{}}`},
		{"no sound", TextToVideo{Audio: new(false)}, `{"end_seconds":0,"style":{},"audio":false}`},
		{"a list that may be missing", AIImageEditor{Style: AIImageEditorStyle{Prompt: "a hat"}}, `{"assets":{},"style":{"prompt":"a hat"}}`},
	}
	for _, tt := range tests {
		text, err := json.Marshal(tt.body)
		if err != nil || string(text) != tt.want {
			t.Errorf("%s: got %s, %v; want %s", tt.name, text, err, tt.want)
		}
	}
}
