package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	out, said, code := enqueue(t, nowhere, "", "operations")
	if code != 0 || said != "" || strings.Count(out, "\n") != 1+28 {
		t.Fatalf("exit %d, %s%s", code, out, said)
	}
	if !slices.ContainsFunc(strings.Split(out, "\n"), func(row string) bool {
		return slices.Equal(strings.Fields(row), []string{"lip-sync", "video", "3m49s", "audio_file_path", "video_file_path"})
	}) {
		t.Errorf("no row of lip-sync as it should be:\n%s", out)
	}
	out, _, code = enqueue(t, nowhere, "", "operations", "--json")
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var o struct {
			Name, Kind, Path string
			TypicalSeconds   float64 `json:"typical_seconds"`
			Assets, Rules    []string
		}
		want := operations.All()[i]
		if err := json.Unmarshal([]byte(line), &o); err != nil || code != 0 || o.Name != want.Name || o.Path != want.Path || o.TypicalSeconds != want.Typical.Seconds() || o.Assets == nil || len(o.Rules) != len(want.Rules()) {
			t.Errorf("exit %d, %s: %v", code, line, err)
		}
	}
	if _, said, code := enqueue(t, nowhere, "", "operations", "lip-sync"); code != 2 || !strings.Contains(said, "enqueue schema lip-sync") {
		t.Errorf("with an argument: exit %d, %s", code, said)
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	for _, o := range operations.All() {
		out, said, code := enqueue(t, nowhere, "", "schema", o.Name)
		var schema struct {
			Type       string
			Properties map[string]any
		}
		if err := json.Unmarshal([]byte(out), &schema); err != nil || code != 0 || said != "" || schema.Type != "object" || schema.Properties["name"] == nil {
			t.Errorf("%s: exit %d, %s%s", o.Name, code, out, said)
		}
	}
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"schema"}, 2, "want one OPERATION"},
		{[]string{"schema", "lip-sink"}, 4, "did you mean lip-sync?"},
		{[]string{"schema", "face-detection"}, 4, "not covered yet"},
	} {
		if out, said, code := enqueue(t, nowhere, "", tt.args...); code != tt.code || out != "" || !strings.Contains(said, tt.says) {
			t.Errorf("%v: exit %d, want %d; %s", tt.args, code, tt.code, said)
		}
	}
}
