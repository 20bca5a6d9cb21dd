package operations

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// checks are two readings of one published schema.
type checks struct {
	base   *jsonschema.Schema // without the open choices: what it finds is an error
	strict *jsonschema.Schema // no unknown fields either: what only it finds is a warning
}

// compileChecks panics if the schema is none: it comes from the program's own catalogue,
// and a test compiles them all.
func compileChecks(schema json.RawMessage) *checks {
	return &checks{
		base:   compile(schema, "hourglass:base", dropOpenChoices),
		strict: compile(schema, "hourglass:strict", forbidUnknownFields),
	}
}

// compile changes every subschema and compiles the result. The library wants a URL for
// each schema; nothing is ever loaded from it.
func compile(schema json.RawMessage, url string, change func(path string, schema map[string]any)) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		panic(fmt.Sprintf("operations: %v", err))
	}
	eachSchema("", doc, change)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // format uri; JSON Schema ignores formats unless told
	if err := compiler.AddResource(url, doc); err != nil {
		panic(fmt.Sprintf("operations: %v", err))
	}
	return compiler.MustCompile(url)
}

// eachSchema visits a schema and all below it, with the path of the field it describes.
func eachSchema(path string, value any, visit func(path string, schema map[string]any)) {
	schema, ok := value.(map[string]any)
	if !ok {
		return
	}
	visit(path, schema)
	properties, _ := schema["properties"].(map[string]any)
	for name, child := range properties {
		eachSchema(below(path, name), child, visit)
	}
	eachSchema(path+"[]", schema["items"], visit)
}

func dropOpenChoices(path string, schema map[string]any) {
	if IsOpen(path) {
		delete(schema, "enum")
	}
}

func forbidUnknownFields(_ string, schema map[string]any) {
	if schema["properties"] != nil {
		schema["additionalProperties"] = false
	}
}

// IsOpen tells whether the choices of a field grow between versions of this program: the
// API adds models, voices, languages and styles every few weeks.
func IsOpen(path string) bool {
	return path == "model" || strings.HasPrefix(path, "style.") ||
		strings.Contains(path, "voice") || strings.Contains(path, "language")
}
