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
	doc, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(doc), "```modules of tasks\n")
	list, _, _ = strings.Cut(list, "```")
	got := slices.DeleteFunc(listed(t, "{{with .Module}}{{.Path}}{{end}}", "."), func(m string) bool { return strings.HasSuffix(m, "/hourglass") })
	if diff := cmp.Diff(strings.Fields(list), got); diff != "" {
		t.Errorf("modules (-docs/dependencies.md +compiled):\n%s", diff)
	}
}

// TestFootprintOfMedia: the types of requests bring nothing along, and come only to those who use them.
func TestFootprintOfMedia(t *testing.T) {
	t.Parallel()
	const media = "github.com/seed-290c2414/hourglass/tasks/media"
	if diff := cmp.Diff([]string{media}, listed(t, "{{.ImportPath}}", "./media")); diff != "" {
		t.Errorf("packages of tasks/media (-want +got):\n%s", diff)
	}
	if slices.Contains(listed(t, "{{.ImportPath}}", "."), media) {
		t.Error("tasks imports tasks/media")
	}
}

// listed says of every package beyond the standard library that one compiles what the template does.
func listed(t *testing.T, template, of string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}"+template+"{{end}}", of).Output() //nolint:gosec // our own words
	if err != nil {
		t.Fatal(err)
	}
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(string(out)))))
}
