package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/records"
)

func TestMain(m *testing.M) {
	records.Quiet()
	goleak.VerifyTestMain(m)
}

// quickly are the arguments of a demo that renders in no time and gets in nobody's way.
func quickly(dir string, more ...string) []string {
	return append([]string{"demo", "--time-scale", "0.001", "--dashboard-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--dir", dir}, more...)
}

// TestDemo runs the README's first command to its end; what was left in the folder by a run
// before is no obstacle.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, run := range []string{"first", "second"} {
		t.Run(run, func(t *testing.T) {
			t.Parallel()
			testDemo(t, dir)
		})
	}
	t.Cleanup(func() {
		folders, err := filepath.Glob(filepath.Join(dir, "*", "manifest.json"))
		if err != nil || len(folders) != 2*(len(samples)-1) {
			t.Errorf("got the manifests %v (%v), want one for each of the jobs but those that failed", folders, err)
		}
	})
}

func testDemo(t *testing.T, dir string) {
	t.Helper()
	var out, log bytes.Buffer
	if code := exitCode(run(t.Context(), quickly(dir), &out, &log), &log); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, &out, &log)
	}
	for _, s := range samples {
		states := "pending rendering storing cleaning done"
		if s.failsWith != "" {
			states = "pending rendering failed"
		}
		if got := statesOf(out.String(), s.operation); !passes(got, states) {
			t.Errorf("%s went through %s, want %s", s.operation, got, states)
		}
	}
	for _, text := range []string{
		"TIME", "OPERATION", "poll 1: complete; copying 4 files", "in stage poll: no_source_face", "no_source_face: the credits were refunded",
		filepath.Join(dir, "ai_image_generator_"), "4.png", "6 creates", "8 downloads", "5 deletes", "The files are in " + dir, "--keep",
	} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("it does not print %q", text)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "no_source_face") {
		t.Errorf("the worker's log should tell of the failed job and of nothing else:\n%s", &log)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// passes reports whether the states that were seen are those of the road, from its begin to its end. On a busy machine
// whoever watches may miss one that lasts for milliseconds.
func passes(got, road string) bool {
	seen, all := strings.Fields(got), strings.Fields(road)
	if len(seen) < 2 || seen[0] != all[0] || seen[len(seen)-1] != all[len(all)-1] {
		return false
	}
	for _, state := range all {
		if len(seen) > 0 && seen[0] == state {
			seen = seen[1:]
		}
	}
	return len(seen) == 0
}

// statesOf returns the states of an operation's job, in the order of their lines.
func statesOf(out, operation string) string {
	var states []string
	for _, move := range regexp.MustCompile(`(?m)^ *\+\d+\.\ds +`+operation+` +(\w+)`).FindAllStringSubmatch(out, -1) {
		if n := len(states); n == 0 || states[n-1] != move[1] {
			states = append(states, move[1])
		}
	}
	return strings.Join(states, " ")
}

func TestUnexpectedEnd(t *testing.T) {
	t.Parallel()
	samples := []sample{
		{operation: "ai-image-generator", body: `{"name":"[fake error=nsfw]","image_count":1,"style":{"prompt":"a robot"}}`},
		{operation: "ai-gif-generator", body: `{"style":{"prompt":"a robot"}}`, failsWith: "no_source_face"},
	}
	var out, log bytes.Buffer
	code := exitCode(runWith(t.Context(), samples, quickly(t.TempDir()), &out, &log), &log)
	if code != 1 {
		t.Errorf("exit %d, want 1", code)
	}
	said := regexp.MustCompile(`demo: .*ai_image_generator_\w+ is failed with nsfw and should be done; ai_gif_generator_\w+ is done and should be failed with no_source_face`)
	if !said.MatchString(log.String()) {
		t.Errorf("it does not say which jobs ended how:\n%s", &log)
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	for _, flag := range []string{"--dashboard-addr", "--redis-addr", "--http-addr"} {
		var log bytes.Buffer
		err := run(t.Context(), quickly(t.TempDir(), flag, taken), io.Discard, &log)
		if code := exitCode(err, &log); code != 1 || !strings.Contains(log.String(), flag+" "+taken) {
			t.Errorf("%s: exit %d, want 1 and the flag and the address\n%s", flag, code, &log)
		}
	}

	// The default gives way.
	d, err := startDashboard(t.Context(), config{dashboardAddr: taken}, "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var out bytes.Buffer
	welcome(&out, config{timeScale: 1}, &scene{dashboard: d}, 1)
	if want := taken + " is taken, so the dashboard is at " + d.url; !strings.Contains(out.String(), want) {
		t.Errorf("it does not say %q:\n%s", want, &out)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"--nothing", "extra", "--time-scale 0", "--time-scale 2", "--time-scale NaN", "--dashboard-addr :8080",
		"--dashboard-addr 127.0.0.1", "--redis-addr 0.0.0.0:6379", "--redis-addr redis.example.com:6379",
	} {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"demo"}, strings.Fields(args)...), &out, io.Discard)
		if code := exitCode(err, io.Discard); code != 2 || out.Len() > 0 {
			t.Errorf("%s: exit %d (%v), want 2 and nothing on stdout, got %q", args, code, err, &out)
		}
	}
	for _, arg := range []string{"--help", "--version"} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"demo", arg}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "demo") {
			t.Errorf("%s: %v, %q", arg, err, &out)
		}
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "media")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600) == nil {
		t.Skip("root may write everywhere")
	}
	err := run(t.Context(), quickly(dir), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--dir "+dir) {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}

func TestFolderThatCannotBe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), quickly(file), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--dir "+file) {
		t.Errorf("got %v, want an error that names the flag", err)
	}
}
