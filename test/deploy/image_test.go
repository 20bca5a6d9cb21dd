package deploy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

const (
	versionArg = "v9.9.9-test"
	outFolder  = "/out/" // of the Dockerfile
)

// image returns the folder with the programs of the image, built by the very line of the
// Dockerfile from what the build context holds.
func image(t *testing.T) string {
	t.Helper()
	stages := dockerfile(t)
	allowed := buildContext(t)
	building.Do(func() { built, errBuild = build(stage(stages[0]), allowed, "") })
	if errBuild != nil {
		t.Fatal(errBuild)
	}
	return filepath.Join(built, outFolder)
}

var (
	building sync.Once
	built    string // a folder that TestMain removes
	errBuild error
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// buildContext is what .dockerignore lets in: nothing but the names it lists.
func buildContext(t *testing.T) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(read(t, ".dockerignore")) {
		line = strings.TrimSpace(line)
		name, allowed := strings.CutPrefix(line, "!")
		switch {
		case line == "" || strings.HasPrefix(line, "#") || line == "*" && names == nil:
		case allowed:
			names = append(names, name)
		default:
			t.Fatalf(".dockerignore: %q: want * first, and then only what is let in", line)
		}
	}
	return names
}

func TestBuildContext(t *testing.T) {
	t.Parallel()
	if !slices.Contains(strings.Split(read(t, ".dockerignore"), "\n"), "*") {
		t.Error(".dockerignore: want * first: what is not listed stays out")
	}
	for _, name := range buildContext(t) {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		} else if !info.IsDir() && name != "go.mod" && name != "go.sum" {
			t.Errorf(".dockerignore lets %s in, which builds nothing", name)
		}
	}
	for _, name := range []string{".git", ".env", "secrets", "media", "bin", "deploy", "test", ".tools"} {
		if slices.Contains(buildContext(t), name) {
			t.Errorf(".dockerignore lets %s in", name)
		}
	}
}

// build runs the RUN lines of a stage in a copy of the build context, for all programs or for one.
func build(s stage, allowed []string, only string) (string, error) {
	dir, err := os.MkdirTemp("", "hourglass-image-")
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "src")
	for _, name := range allowed {
		if err := copyTo(filepath.Join(source, name), filepath.Join(root, name)); err != nil {
			return dir, err
		}
	}
	runs := all[*instructions.RunCommand](s)
	if len(runs) == 0 {
		return dir, errors.New("the Dockerfile builds nothing")
	}
	for _, run := range runs {
		line := strings.ReplaceAll(strings.Join(run.CmdLine, " "), outFolder, dir+outFolder)
		if only != "" {
			line = regexp.MustCompile(`\./cmd/.*`).ReplaceAllString(line, only)
		}
		cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", line) //nolint:gosec // our own file
		cmd.Dir = source
		cmd.Env = append(os.Environ(), "VERSION="+versionArg, "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH, "GOFLAGS=", "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("%s: %w\n%s", line, err, output)
		}
	}
	return dir, nil
}

func copyTo(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), fs.ModePerm); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600) //nolint:gosec // in a temporary folder
}
