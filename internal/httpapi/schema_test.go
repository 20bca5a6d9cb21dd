package httpapi

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shape is what two descriptions of the same thing must agree on.
type shape struct {
	Properties map[string]json.RawMessage
	Required   []string
	Defs       map[string]shape `json:"$defs"`
}

func (s shape) names() [2][]string {
	return [2][]string{slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(slices.Values(s.Required))}
}

// TestDocumentFollowsTheSchemas: the document, which is written by hand, has the fields of the published schemas,
// which are made of the Go types.
func TestDocumentFollowsTheSchemas(t *testing.T) {
	t.Parallel()
	var d struct {
		Components struct{ Schemas map[string]shape }
	}
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	published := func(name string) shape {
		text, err := os.ReadFile("../../schema/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var s shape
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	job, request := published("job"), published("request")
	for name, want := range map[string]shape{"Job": job, "Output": job.Defs["Output"], "Request": request, "Options": request.Defs["Options"]} {
		if len(want.Properties) == 0 {
			t.Fatalf("the schemas have no %s", name)
		}
		if diff := cmp.Diff(want.names(), d.Components.Schemas[name].names()); diff != "" {
			t.Errorf("%s (-schema +document):\n%s", name, diff)
		}
	}
}
