package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

func rendering(job *tasks.Job) {
	since, eta := time.Now().Add(-10*time.Minute), time.Now().Add(10*time.Minute)
	job.State, job.Polls, job.ProjectAt, job.ETA = tasks.Rendering, 3, &since, &eta
}

func done(job *tasks.Job) { job.State = tasks.Done }

// waitFor runs enqueue wait with jobs that render, each of which is done once all were shown as rendering.
func waitFor(t *testing.T, stdout, stderr io.Writer, shown func(), ids []string, args ...string) int {
	t.Helper()
	_, url := start(t)
	for _, id := range ids {
		if _, said, code := enqueue(t, url, "", "submit", "text-to-video", "--id", id, "--set", "end_seconds=5", "--set", "style.prompt=x"); code != 0 {
			t.Fatal(said)
		}
		stand(t, url, id, rendering)
	}
	ended := make(chan int, 1)
	go func() {
		err := run(t.Context(), append(append([]string{"enqueue", "--redis-url", url, "wait"}, ids...), args...), strings.NewReader(""), stdout, stderr)
		ended <- exitCode(err, stderr)
	}()
	shown()
	for _, id := range ids {
		stand(t, url, id, done)
	}
	return <-ended
}

// TestBars: on a terminal each job has a bar, on stderr alone; stdout gets the results and nothing else.
//
//nolint:paralleltest // sets variables
func TestBars(t *testing.T) {
	terminal := newTerminal(t, 120, 24)
	file, err := os.Create(filepath.Join(t.TempDir(), "results"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	code := waitFor(t, file, terminal.file, func() {
		terminal.seen(t, "job-a  text-to-video", "job-b  text-to-video", "rendering, poll 3, about 10m left", "=>", "2 jobs: 2 rendering")
	}, []string{"job-a", "job-b"})
	out, err := os.ReadFile(file.Name())
	if err != nil || code != 0 || strings.Count(string(out), "\tdone") != 2 || strings.ContainsAny(string(out), "\x1b>[") {
		t.Errorf("exit %d, stdout has %q, %v", code, out, err)
	}
	if shown := terminal.all(); strings.Contains(shown, "\tdone") {
		t.Errorf("the results are on the terminal as well: %q", shown)
	}
}

// TestBarsAndResultsOnOneTerminal: results stand above the bars, whole.
//
//nolint:paralleltest // sets variables
func TestBarsAndResultsOnOneTerminal(t *testing.T) {
	terminal := newTerminal(t, 120, 24)
	stdout, err := os.OpenFile(terminal.file.Name(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdout.Close() }()
	code := waitFor(t, stdout, terminal.file, func() { terminal.seen(t, "job-a  text-to-video", "job-b  text-to-video") }, []string{"job-a", "job-b"})
	_ = stdout.Close()
	lines := screenOf(terminal.all())
	if code != 0 || len(lines) != 3 || lines[0] != "waiting for 2 jobs" || !strings.HasPrefix(lines[1], "job-") || !strings.HasPrefix(lines[2], "job-") ||
		!strings.HasSuffix(lines[1], "\tdone") || !strings.HasSuffix(lines[2], "\tdone") {
		t.Errorf("exit %d, at the end the screen shows\n%s", code, strings.Join(lines, "\n"))
	}
}

// screenOf is what a terminal shows in the end of what was written to it. It knows what bars are drawn with: up so many
// lines, and clear the rest.
func screenOf(text string) []string {
	lines := []string{""}
	at := 0
	for len(text) > 0 {
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b["):
			i := strings.IndexAny(text, "AJ")
			for _, digit := range text[2:i] {
				n = 10*n + int(digit-'0')
			}
			if text[i] == 'A' {
				at = max(0, at-n)
			} else {
				lines = append(lines[:at:at], "")
			}
			text = text[i+1:]
		case text[0] == '\n':
			if at++; at == len(lines) {
				lines = append(lines, "")
			}
			text = text[1:]
		case text[0] == '\r':
			text = text[1:]
		default:
			lines[at] += text[:1]
			text = text[1:]
		}
	}
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// TestMoreJobsThanLines: those for which there is no room have one line together.
//
//nolint:paralleltest // sets variables
func TestMoreJobsThanLines(t *testing.T) {
	terminal := newTerminal(t, 100, 5)
	ids := []string{"job-a", "job-b", "job-c", "job-d", "job-e"}
	var out bytes.Buffer
	if code := waitFor(t, &out, terminal.file, func() { terminal.seen(t, "5 jobs: 5 rendering; renders about 10m left") }, ids); code != 0 {
		t.Errorf("exit %d", code)
	}
	for frame := range strings.SplitSeq(terminal.all(), "\x1b[J") {
		if n := strings.Count(frame, "\n"); n > 5 {
			t.Errorf("%d lines in %q", n, frame)
		}
	}
	if strings.Count(out.String(), "\tdone") != len(ids) {
		t.Error(out.String())
	}
}

// TestNoBars: where there is no terminal that can show them, or JSON is asked for, there is a line for each state.
func TestNoBars(t *testing.T) {
	for name, args := range map[string][]string{"dumb": nil, "json": {"--json"}} {
		t.Run(name, func(t *testing.T) {
			terminal := newTerminal(t, 120, 24)
			if name == "dumb" {
				t.Setenv("TERM", "dumb")
			}
			var out bytes.Buffer
			code := waitFor(t, &out, terminal.file, func() { terminal.seen(t, "job-a\trend", "job-b\trend") }, []string{"job-a", "job-b"}, args...)
			if shown := terminal.all(); code != 0 || strings.Contains(shown, "\x1b") || strings.Count(shown, "rendering, poll 3") != 2 {
				t.Errorf("exit %d, %q", code, shown)
			}
		})
	}
	t.Run("no terminal", func(t *testing.T) {
		var said pseudo
		var out bytes.Buffer
		code := waitFor(t, &out, &said, func() { said.seen(t, "job-a\trendering, poll 3, about 10m left\n") }, []string{"job-a"})
		if shown := said.text(); code != 0 || strings.Contains(shown, "\x1b") {
			t.Errorf("exit %d, %q", code, shown)
		}
	})
}

// TestBarOfAJobThatIsGone: a record that vanishes is told of, and ends the wait.
//
//nolint:paralleltest // sets variables
func TestBarOfAJobThatIsGone(t *testing.T) {
	terminal := newTerminal(t, 120, 24)
	m, url := start(t)
	if _, said, code := enqueue(t, url, "", "text-to-video", "--id", "job-a", "--end_seconds", "5", "--style.prompt", "x"); code != 0 {
		t.Fatal(said)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- run(t.Context(), []string{"enqueue", "--redis-url", url, "wait", "job-a"}, strings.NewReader(""), io.Discard, terminal.file)
	}()
	terminal.seen(t, "job-a  text-to-video")
	m.FlushAll()
	if err := <-ended; exitCode(err, io.Discard) != exitFailure || !strings.Contains(terminal.all(), "no such job: job-a") {
		t.Errorf("got %v, %q", err, terminal.all())
	}
}

// TestManyJobsWithoutATerminal: nobody reads thousands of lines.
//
//nolint:paralleltest // sets variables
func TestManyJobsWithoutATerminal(t *testing.T) {
	var ids []string
	for i := range fewJobs + 1 {
		ids = append(ids, fmt.Sprintf("job-%d", i))
	}
	var said pseudo
	var out bytes.Buffer
	code := waitFor(t, &out, &said, func() { said.seen(t, "waiting for 21 jobs\n") }, ids)
	if code != 0 || strings.Count(out.String(), "\tdone") != len(ids) || strings.Contains(said.text(), "job-") {
		t.Errorf("exit %d, %q", code, said.text())
	}
}

// TestTableOnATerminal: it fits, and only there it has colours, which NO_COLOR takes away.
//
//nolint:paralleltest // sets variables
func TestTableOnATerminal(t *testing.T) {
	_, url := start(t)
	if _, said, code := enqueue(t, url, "", "submit", "text-to-video", "--id", "job-a", "--set", "end_seconds=5", "--set", "style.prompt=x"); code != 0 {
		t.Fatal(said)
	}
	stand(t, url, "job-a", func(job *tasks.Job) {
		job.State, job.Error = tasks.Failed, &tasks.Error{Code: "no_face", Message: strings.Repeat("long ", 40)}
	})
	table := func(set, value string) string {
		terminal := newTerminal(t, 60, 24)
		t.Setenv(set, value)
		if err := run(t.Context(), []string{"enqueue", "--redis-url", url, "list"}, strings.NewReader(""), terminal.file, io.Discard); err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(terminal.all(), "\r", "")
	}
	plain := table("NO_COLOR", "1")
	for line := range strings.SplitSeq(plain, "\n") {
		if len([]rune(line)) > 60 || strings.Contains(line, "\x1b") {
			t.Errorf("in 60 columns: %q", line)
		}
	}
	if got := table("NO_COLOR", ""); strings.ReplaceAll(strings.ReplaceAll(got, "\x1b[31m", ""), "\x1b[0m", "") != plain || !strings.Contains(got, "\x1b[31mfailed\x1b[0m") {
		t.Errorf("in colours: %q", got)
	}
	if got := table("TERM", "dumb"); got != plain {
		t.Errorf("on a dumb terminal: %q", got)
	}
	if out, _, _ := enqueue(t, url, "", "list"); strings.Contains(out, "\x1b") || !strings.Contains(out, "long long long long long") {
		t.Errorf("elsewhere: %q", out)
	}
}
