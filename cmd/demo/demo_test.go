package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestDemo runs the README's first command to its end.
func TestDemo(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, log bytes.Buffer
	if err := run(t.Context(), "media", &out, &log); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), log.String())
	}
	for _, line := range []string{"text-to-video", "ai-image-generator", "ai-voice-generator", "3 creates", "3 deletes"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("it does not print %q:\n%s", line, out.String())
		}
	}
	jobs, err := os.ReadDir("media")
	if err != nil || len(jobs) != len(samples) {
		t.Errorf("got the folders %v (%v), want one for each of %d jobs", jobs, err, len(samples))
	}
}
