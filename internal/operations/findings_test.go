package operations

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Some keywords are in no request schema of today; their words are ready nonetheless.
func TestFindingsSpeakPlainly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, schema, body string
		want               []string
	}{
		{"several types", `{"properties":{"a":{"type":["integer","null"]}}}`, `{"a":"x"}`, []string{"a: must be null or a whole number"}},
		{"fewest items", `{"properties":{"a":{"minItems":2}}}`, `{"a":[1]}`, []string{"a: must have at least 2 items"}},
		{"some item", `{"properties":{"a":{"minItems":1}}}`, `{"a":[]}`, []string{"a: must not be empty"}},
		{"one item", `{"properties":{"a":{"maxItems":1}}}`, `{"a":[1,2]}`, []string{"a: must have at most 1 item"}},
		{"shortest", `{"properties":{"a":{"minLength":3}}}`, `{"a":"xy"}`, []string{"a: must have at least 3 characters"}},
		{"no words for it", `{"properties":{"a":{"pattern":"^x"}}}`, `{"a":"s3cret"}`, []string{"a: not allowed by the API's schema"}},
		{"a field called 0", `{"properties":{"0":{"type":"string"}}}`, `{"0":1}`, []string{"0: must be a string"}},
		{"a field without a name", `{"properties":{"":{"type":"string"}}}`, `{"":1}`, []string{`"": must be a string`}},
		{"a big number is not rounded", `{"properties":{"a":{"maximum":9007199254740992}}}`, `{"a":9007199254740993}`, []string{"a: must be at most 9007199254740992"}},
		{"nothing", `{}`, `{}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			request, problem := decode([]byte(tt.body))
			if problem != nil {
				t.Fatal(problem)
			}
			got := findings(compileChecks([]byte(tt.schema)).base, request)
			if diff := cmp.Diff(tt.want, lines(got)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
