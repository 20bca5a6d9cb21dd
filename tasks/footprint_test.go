package tasks

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFootprint holds what a service that imports this package compiles with it, against the list in
// docs/dependencies.md.
func TestFootprint(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{with .Module}}{{.Path}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
	doc, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(doc), "```modules of tasks\n")
	list, _, _ = strings.Cut(list, "```")
	if diff := cmp.Diff(strings.Fields(list), slices.DeleteFunc(got, func(m string) bool { return strings.HasSuffix(m, "/hourglass") })); diff != "" {
		t.Errorf("modules (-docs/dependencies.md +compiled):\n%s", diff)
	}
}
