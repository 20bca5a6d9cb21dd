package deploy

import (
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// recipe is the Dockerfile.
type recipe []instructions.Stage

func dockerfile(t *testing.T) recipe {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 {
		t.Fatalf("got %d stages, want one that builds and one that is the image", len(stages))
	}
	return stages
}

func (r recipe) final() stage { return stage(r[len(r)-1]) }

// stage is one FROM and what follows it.
type stage instructions.Stage

// all returns the instructions of one kind.
func all[T instructions.Command](s stage) []T {
	var found []T
	for _, command := range s.Commands {
		if c, ok := command.(T); ok {
			found = append(found, c)
		}
	}
	return found
}

// command is what a container runs that is told nothing else.
func (s stage) command(t *testing.T) []string {
	t.Helper()
	commands := all[*instructions.CmdCommand](s)
	if len(commands) != 1 || commands[0].PrependShell || len(all[*instructions.EntrypointCommand](s)) > 0 {
		t.Fatalf("got %v, want one CMD in brackets and no ENTRYPOINT, so that any program can be named", commands)
	}
	return commands[0].CmdLine
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	build, final := stage(stages[0]), stages.final()
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	if ours := instruction(read(t, "Dockerfile"), "ARG GO_VERSION="); ours != goVersion {
		t.Errorf("ARG GO_VERSION: got %s, want %s as in go.mod", ours, goVersion)
	}
	if want := "golang:${GO_VERSION}-alpine"; build.BaseName != want || build.Platform != "$BUILDPLATFORM" {
		t.Errorf("builder: got %s for %s, want %s for $BUILDPLATFORM: the compiler runs on the builder's own platform", build.BaseName, build.Platform, want)
	}
	if final.BaseName != "scratch" {
		t.Errorf("image: got FROM %s, want scratch", final.BaseName)
	}
	if diff := cmp.Diff([]string{"worker"}, final.command(t)); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	users := all[*instructions.UserCommand](final)
	if len(users) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(users[0].User) {
		t.Errorf("got USER %v, want the numbers of one that is not root", users)
	}
	for _, command := range append(build.Commands, final.Commands...) {
		for _, word := range []string{"KEY", "SECRET", "TOKEN", "PASSWORD", "ADD "} {
			if text := commandText(command); strings.Contains(strings.ToUpper(text), word) {
				t.Errorf("%q: an image holds no secrets, and nothing from elsewhere", text)
			}
		}
	}
}

// instruction returns what follows the beginning of a line.
func instruction(text, begin string) string {
	_, rest, _ := strings.Cut("\n"+text, "\n"+begin)
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

func commandText(c instructions.Command) string {
	if s, ok := c.(interface{ String() string }); ok {
		return s.String()
	}
	return c.Name()
}

// What the image takes over is in the build stage: the programs, and one file of its base image.
func TestImageHasItsFiles(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	got := map[string]string{}
	for _, c := range all[*instructions.CopyCommand](stages.final()) {
		if c.From != stages[0].Name {
			t.Errorf("COPY --from=%s, want the build stage %s", c.From, stages[0].Name)
		}
		got[strings.Join(c.SourcePaths, " ")] = c.DestPath
	}
	want := map[string]string{
		"/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/", // golang:*-alpine installs them, and Go looks for them there
		outFolder:                            "/usr/local/bin/",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
	environment := all[*instructions.EnvCommand](stages.final())
	if len(environment) != 1 || environment[0].String() != "ENV PATH=/usr/local/bin" {
		t.Errorf("got %v, want PATH=/usr/local/bin alone: scratch has none", environment)
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	bin := image(t)
	programs, err := filepath.Glob(filepath.Join(bin, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range programs {
		names = append(names, filepath.Base(path))
		static(t, path)
		output, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput() //nolint:gosec // our own program
		if err != nil || !strings.Contains(string(output), versionArg) {
			t.Errorf("--version: got %s (%v), want %s in it", output, err, versionArg)
		}
	}
	if want := []string{"enqueue", "fakehour", "worker"}; !slices.Equal(names, want) {
		t.Errorf("programs: got %v, want %v", names, want)
	}
}

// TestSameBytes: a build in another folder gives the same programs.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	stages, allowed, first := dockerfile(t), buildContext(t), image(t)
	again, err := build(stage(stages[0]), allowed, "./cmd/fakehour")
	t.Cleanup(func() { _ = os.RemoveAll(again) })
	if err != nil {
		t.Fatal(err)
	}
	if one, two := sum(t, filepath.Join(first, "fakehour")), sum(t, filepath.Join(again, outFolder, "fakehour")); one != two {
		t.Errorf("fakehour: %x here, %x there", one, two)
	}
}

func sum(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(text)
}

// TestOtherPlatform: the builder's own compiler is told to make programs for the image's platform.
func TestOtherPlatform(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	for _, run := range all[*instructions.RunCommand](stage(stages[0])) {
		line := regexp.MustCompile(`go build .*`).ReplaceAllString(strings.Join(run.CmdLine, " "), "go env GOOS GOARCH CGO_ENABLED")
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", line) //nolint:gosec // our own file
		cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH=riscv64")
		if got, err := cmd.Output(); err != nil || string(got) != "linux\nriscv64\n0\n" {
			t.Errorf("got %s (%v), want programs for linux and riscv64, without cgo", got, err)
		}
	}
}

// static checks that a program needs nothing of the image, and names no folder of the builder.
func static(t *testing.T, path string) {
	t.Helper()
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
		t.Errorf("%s: got CGO_ENABLED=%s -trimpath=%s, want 0 and true", path, settings["CGO_ENABLED"], settings["-trimpath"])
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			t.Errorf("%s: is linked with libraries (%v), which the image does not have", path, segment.Type)
		}
	}
}
