package operations

import (
	"strings"
	"testing"
)

func TestUnknown(t *testing.T) {
	t.Parallel()
	const faceDetection = "face-detection is not covered yet: it makes no project; call the API itself"
	tests := []struct {
		name, operation, want string
	}{
		{"two letters swapped", "text-to-vidoe", `unknown operation "text-to-vidoe": did you mean text-to-video?`},
		{"a letter missing", "lip-syc", `unknown operation "lip-syc": did you mean lip-sync?`},
		{"a letter too many", "animaition", `unknown operation "animaition": did you mean animation?`},
		{"capitals", "Text-To-Video", `unknown operation "Text-To-Video": did you mean text-to-video?`},
		{"underscores", "image_to_video", `unknown operation "image_to_video": did you mean image-to-video?`},
		{"three typing errors are another word", "txt-2-video", `unknown operation "txt-2-video"; see enqueue operations`},
		{"the beginning of one and near another", "face-swap-", `unknown operation "face-swap-": did you mean face-swap-photo?`},
		{"the nearer of two", "bead-swap", `unknown operation "bead-swap": did you mean head-swap?`},
		{"two as near", "boad-swap", `unknown operation "boad-swap": did you mean body-swap or head-swap?`},
		{"the beginning of one", "ai-talking", `unknown operation "ai-talking": did you mean ai-talking-photo?`},
		{"the end of one", "image-editor", `unknown operation "image-editor": did you mean ai-image-editor?`},
		{"the beginning of two", "face", `unknown operation "face"; see enqueue operations`},
		{"the end of many", "-generator", `unknown operation "-generator"; see enqueue operations`},
		{"the path of one", "/v1/face-swap", `unknown operation "/v1/face-swap": did you mean face-swap?`},
		{"the path without its slash", "v1/lip-sink", `unknown operation "v1/lip-sink": did you mean lip-sync?`},
		{"nothing", "", `unknown operation ""; see enqueue operations`},
		{"nothing like it", "x", `unknown operation "x"; see enqueue operations`},
		{"makes no project", "files/upload-urls", `unknown operation "files/upload-urls"; see enqueue operations`},
		{"line breaks stay on the line", "x\ny", `unknown operation "x\ny"; see enqueue operations`},
		{"face detection", "face-detection", faceDetection},
		{"the path of face detection", "/v1/face-detection", faceDetection},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Unknown(tt.operation); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestUnknownFindsEveryOperationAgain(t *testing.T) {
	t.Parallel()
	for _, o := range All() {
		for _, typo := range []string{o.Path, o.Name[:len(o.Name)-1] + "_", "x" + o.Name} {
			if got := Unknown(typo); !strings.HasSuffix(got, "did you mean "+o.Name+"?") {
				t.Errorf("%s: %s", typo, got)
			}
		}
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"ab", "", 2}, {"abc", "abc", 0},
		{"abc", "abd", 1}, {"abc", "ac", 1}, {"abc", "xabc", 1}, {"abc", "bac", 2},
		{"kitten", "sitting", 3},
	} {
		if got := edits(tt.a, tt.b); got != tt.want {
			t.Errorf("edits(%q, %q): got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
