package tasks

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/tasks/media"
)

// TestTypedIsTheSame: a typed request and the same one in its general form are one job.
func TestTypedIsTheSame(t *testing.T) {
	t.Parallel()
	typed, err := NewJob(NewRequest("j1", media.TextToVideo{
		EndSeconds: 5, Style: media.TextToVideoStyle{Prompt: "tin <&> robot"}, Audio: new(false),
	}, Options{Tenant: "acme"}), epoch)
	if err != nil {
		t.Fatal(err)
	}
	general, err := NewJob(Request{
		ID: "j1", Operation: "text-to-video", Body: []byte(`{"audio":false,"end_seconds":5.0,"style":{"prompt":"tin <&> robot"}}`), Options: Options{Tenant: "acme"},
	}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if !typed.Same(general) {
		t.Errorf("two jobs (-general +typed):\n%s", cmp.Diff(string(general.Body), string(typed.Body)))
	}
}

func TestTypedThatHasNoJSON(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]Body{"NaN": media.TextToVideo{EndSeconds: math.NaN()}, "nil": nil} {
		_, err := NewJob(NewRequest("j1", body, Options{}), epoch)
		var invalid *InvalidError
		if !errors.Is(err, ErrInvalid) || !errors.As(err, &invalid) || invalid.Problems[0].Path != "body" {
			t.Errorf("%s: got %v, want an InvalidError of the body", name, err)
		}
	}
}
