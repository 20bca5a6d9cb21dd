package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/tasks"
)

var update = flag.Bool("update", false, "write the golden files")

// asProgram makes the test binary the program, for tests that start it as shells do.
const asProgram = "HOURGLASS_TEST_AS_ENQUEUE"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	records.Quiet()
	goleak.VerifyTestMain(m)
}

// nowhere is a Redis that is not there.
const nowhere = "redis://127.0.0.1:1"

// start starts an embedded Redis and returns it with its URL.
func start(t *testing.T) (*miniredis.Miniredis, string) {
	t.Helper()
	m := miniredis.RunT(t)
	return m, "redis://" + m.Addr()
}

// enqueue runs the program, and returns what it has printed and its exit code.
func enqueue(t *testing.T, redisURL, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, said bytes.Buffer
	err := run(t.Context(), append([]string{"enqueue", "--redis-url", redisURL}, args...), strings.NewReader(stdin), &out, &said)
	code = exitCode(err, &said)
	return out.String(), said.String(), code
}

// write makes a file and returns its name.
func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "jobs.jsonl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestHelp holds the help of every command. go test ./cmd/enqueue -update writes it.
func TestHelp(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	for _, command := range []string{"", "submit", "batch", "status", "wait", "get", "list", "cancel", "retry", "resolve", "operations", "schema", "face-swap"} {
		args := []string{"--help"}
		if command != "" {
			args = []string{command, "--help"}
		}
		out, said, code := enqueue(t, nowhere, "", args...)
		if code != 0 || said != "" {
			t.Fatalf("%s --help: exit %d, %s", command, code, said)
		}
		help.WriteString("$ " + strings.TrimSpace("enqueue "+command) + " --help\n" + strings.ReplaceAll(out, settings.Version(), "VERSION") + "\n")
	}
	const golden = "testdata/help.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(help.String()), 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), help.String()); diff != "" {
		t.Errorf("--help (-want +got):\n%s", diff)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if out, said, code := enqueue(t, nowhere, "", "--version"); code != 0 || said != "" || out != "enqueue version "+settings.Version()+"\n" {
		t.Errorf("got %q, %q, exit %d", out, said, code)
	}
}

// stand makes a job stand as it might later.
func stand(t *testing.T, url, id string, change func(*tasks.Job)) {
	t.Helper()
	store := records.New(connectTo(t, url))
	text, rev, err := store.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	job, err := tasks.DecodeJob(text)
	if err != nil {
		t.Fatal(err)
	}
	change(job)
	if text, err = job.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Save(t.Context(), id, text, rev, 0); err != nil {
		t.Fatal(err)
	}
}
