package tasks

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblemsOfARequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		request Request
		want    []Problem
	}{
		{"bad id", Request{ID: "../x", Operation: "text-to-video", Body: textToVideo("").Body},
			[]Problem{{"id", `job id "../x": want 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit`}}},
		{"unknown operation", Request{Operation: "text-to-vide"},
			[]Problem{{"operation", `unknown operation "text-to-vide": did you mean text-to-video?`}}},
		{"no body", Request{Operation: "text-to-video"},
			[]Problem{{"body", "the body must be a JSON object, but is empty"}}},
		{"two fields", Request{Operation: "text-to-video", Body: []byte(`{"end_seconds":0,"style":{}}`)},
			[]Problem{{"body.end_seconds", "must be at least 1"}, {"body.style.prompt", "required"}}},
		{"two options", Request{Operation: "text-to-video", Body: textToVideo("").Body, Options: Options{Tenant: "a b", Notify: Notify{URL: "https://u:p@x"}}},
			[]Problem{
				{"options.tenant", `want up to 64 of A-Z a-z 0-9 . _ -, not "a b"`},
				{"options.notify.url", "want http(s)://host/path of up to 2048 bytes, without user or fragment"},
			}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewJob(tt.request, epoch)
			var invalid *InvalidError
			if !errors.Is(err, ErrInvalid) || !errors.As(err, &invalid) {
				t.Fatalf("got %v, want an InvalidError", err)
			}
			if diff := cmp.Diff(tt.want, invalid.Problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
