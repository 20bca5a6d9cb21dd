package browser

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// demo builds cmd/demo, runs it until the test ends, and returns the addresses of its dashboard and of its pages. By
// then all of its samples have ended.
func demo(t *testing.T) (dashboard, pages string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/demo") //nolint:gosec // into a folder of the test
	build.Dir = "../.."                                                           // the module that it is in
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.CommandContext(ctx, program, "--keep", "--time-scale", "0.001", "--dashboard-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--dir", t.TempDir()) //nolint:gosec // it was just built
	run.Stderr = os.Stderr
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = 10 * time.Second // then it is killed
	stdout, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	t.Cleanup(func() {
		cancel()
		for lines.Scan() { // to the end of what it prints
		}
		if err := run.Wait(); run.ProcessState.ExitCode() != 0 {
			t.Errorf("the demo ended with %v", err)
		}
	})
	pages = find(t, lines, `as a caller sees them: (http://\S+)$`)
	return find(t, lines, `^ +(http://\S+)$`), pages
}

// find returns the first group of the first line that matches.
func find(t *testing.T, lines *bufio.Scanner, pattern string) string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	for lines.Scan() {
		if found := want.FindStringSubmatch(lines.Text()); found != nil {
			return found[1]
		}
	}
	t.Fatalf("the demo prints no line like %s", pattern)
	return ""
}
