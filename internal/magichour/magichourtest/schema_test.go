package magichourtest

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// published are the schemas of all answers by "METHOD /path status"; nil for an answer
// without a body. They are compiled when first needed.
var published = sync.OnceValue(func() map[string]func() *jsonschema.Schema {
	text, err := os.ReadFile("../../operations/spec/openapi.json")
	if err != nil {
		panic(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		panic(err)
	}
	schemas := map[string]func() *jsonschema.Schema{}
	for path, methods := range doc.(map[string]any)["paths"].(map[string]any) {
		for method, operation := range methods.(map[string]any) {
			for status, response := range operation.(map[string]any)["responses"].(map[string]any) {
				name := strings.ToUpper(method) + " " + path + " " + status
				schemas[name] = sync.OnceValue(func() *jsonschema.Schema { return bodySchema(response) })
			}
		}
	}
	return schemas
})

func bodySchema(response any) *jsonschema.Schema {
	content, ok := response.(map[string]any)["content"].(map[string]any)
	if !ok {
		return nil
	}
	schema := content["application/json"].(map[string]any)["schema"]
	allowNull(schema)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("published:answer", schema); err != nil {
		panic(err)
	}
	return compiler.MustCompile("published:answer")
}

// allowNull rewrites nullable, which OpenAPI 3.0 has and JSON Schema doesn't.
func allowNull(value any) {
	switch v := value.(type) {
	case map[string]any:
		if v["nullable"] == true {
			v["type"] = []any{v["type"], "null"}
		}
		for _, child := range v {
			allowNull(child)
		}
	case []any:
		for _, child := range v {
			allowNull(child)
		}
	}
}

var projectPath = regexp.MustCompile(`^(/v1/\w+-projects)/[^/]+$`)

// checkSchema holds every answer of the API against the schema that is published for its
// method, path and status. What is not published (403, 429, 502 and all of /_fake/) passes.
func (h *harness) checkSchema(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.lax {
			next.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		next.ServeHTTP(recorded, r)
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		name := r.Method + " " + projectPath.ReplaceAllString(r.URL.Path, "$1/{id}") + " " + strconv.Itoa(recorded.Code)
		if err := matches(name, recorded.Body.Bytes()); err != nil {
			h.t.Errorf("%s: %v\n%s", name, err, recorded.Body)
		}
		w.WriteHeader(recorded.Code)
		if _, err := w.Write(recorded.Body.Bytes()); err != nil && recorded.Body.Len() > 0 {
			h.t.Errorf("%s: %v", name, err)
		}
	})
}

func matches(name string, body []byte) error {
	schema, ok := published()[name]
	if !ok || schema() == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema().Validate(value)
}

func TestSchemaCheckNotices(t *testing.T) {
	t.Parallel()
	if err := matches("POST /v1/face-swap 200", []byte(`{"id":"c1","credits_charged":1}`)); err == nil {
		t.Error("the deprecated field is missing, and nobody noticed")
	}
	if err := matches("GET /v1/audio-projects/{id} 404", []byte(`{"code":"not_found","message":"Not Found"}`)); err != nil {
		t.Error(err)
	}
}
