package operations

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// Whatever a stranger sends, Validate answers: with an *InvalidError that says something,
// or with a request that can be counted.
func FuzzValidate(f *testing.F) {
	for name, body := range minimal {
		f.Add(name, []byte(body))
	}
	for _, b := range branches {
		f.Add(b.operation, changed(f, b.operation, b.change))
	}
	f.Add("face-swap", []byte(`{"start_seconds":-0e400,"end_seconds":1e-400,"assets":{"video_source":["file"],"face_mappings":[{"original_face":""}]}}`))
	f.Add("text-to-video", []byte(`{"end_seconds":5.000000000000000000001,"model":"kling-2.6","style":{"prompt":"x"}}`))
	f.Add("text-to-video", []byte(`{"end_seconds":1e1000001,"style":{"prompt":"x"}}`))
	f.Add("face-swap", []byte(`{"assets":{"face_mappings":[[],{"0":0}]}}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		o, known := Lookup(name)
		if message := Unknown(name); message == "" || known && !strings.Contains(message, "mean "+name+"?") {
			t.Errorf("Unknown(%q) says %q", name, message)
		}
		warnings, err := o.Validate(body)
		checkOrder(t, warnings)
		if outputs := o.Outputs(body); outputs < 1 || err == nil && outputs > 16 {
			t.Errorf("%d outputs", outputs)
		}
		if err == nil {
			return
		}
		var invalid *InvalidError
		if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
			t.Fatalf("got %T that says %v", err, err)
		}
		checkOrder(t, invalid.Problems)
	})
}

func checkOrder(t *testing.T, problems []Problem) {
	t.Helper()
	if !slices.IsSortedFunc(problems, func(a, b Problem) int {
		return strings.Compare(a.Path, b.Path)
	}) {
		t.Errorf("not sorted: %v", problems)
	}
	for _, p := range problems {
		if p.Message == "" {
			t.Errorf("nothing said about %q", p.Path)
		}
	}
}
