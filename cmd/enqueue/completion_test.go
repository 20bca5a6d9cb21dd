package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// asShells asks the program what may stand at the cursor, as the scripts of bash, zsh and fish do: with all words before it,
// and the one at it if that begins with a dash. It returns the words that are offered.
func asShells(t *testing.T, redisURL string, words ...string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], append(words, "--generate-shell-completion")...) //nolint:gosec // the test itself
	command.Env = append(os.Environ(), asProgram+"=1", "REDIS_URL="+redisURL)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	var offered []string
	for line := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		offered = append(offered, word)
	}
	return offered
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	for _, id := range []string{"going", "lost", "broken", "ended"} {
		if _, said, code := enqueue(t, url, "", "submit", "text-to-video", "--id", id, "--set", "end_seconds=5", "--set", "style.prompt=x"); code != 0 {
			t.Fatal(said)
		}
	}
	for id, state := range map[string]tasks.State{"lost": tasks.Unknown, "broken": tasks.Failed, "ended": tasks.Done} {
		stand(t, url, id, func(job *tasks.Job) { job.State = state })
	}
	if _, said, code := enqueue(t, url, "", "list"); code != 0 { // which puts them where they stand now
		t.Fatal(said)
	}
	for _, tt := range []struct {
		words      []string
		want, none []string
	}{
		{nil, []string{"status", "get", "face-swap", "lip-sync"}, []string{"--help"}},
		{[]string{"status"}, []string{"going", "lost", "broken", "ended"}, []string{"face-swap", "--json"}},
		{[]string{"status", "--js"}, []string{"--json"}, []string{"going"}},
		{[]string{"wait", "lost"}, []string{"going"}, []string{"lost", "ended", "broken"}},
		{[]string{"cancel"}, []string{"going", "lost"}, []string{"ended", "broken"}},
		{[]string{"retry"}, []string{"broken"}, []string{"going", "lost", "ended"}},
		{[]string{"resolve"}, []string{"lost"}, []string{"going", "broken", "ended"}},
		{[]string{"get"}, []string{"ended"}, []string{"going", "lost", "broken"}},
		{[]string{"get", "--output"}, nil, []string{"ended"}}, // the shell offers files
		{[]string{"submit"}, []string{"face-swap", "text-to-video"}, []string{"going"}},
		{[]string{"schema"}, []string{"face-swap", "text-to-video"}, nil},
		{[]string{"submit", "face-swap", "--priority"}, []string{"high", "normal", "low"}, []string{"face-swap"}},
		{[]string{"list", "--state"}, []string{"pending", "done", "unknown"}, []string{"--state"}},
		{[]string{"list", "--state", "="}, []string{"pending", "done", "unknown"}, nil},
		{[]string{"list", "--operation"}, []string{"face-swap"}, nil},
		{[]string{"list", "--"}, []string{"--state", "--tenant", "--json"}, nil},
		{[]string{"face-swap", "--"}, []string{"--assets.image_file_path", "--start_seconds", "--wait"}, nil},
		{[]string{"face-swap", "--assets.video_source"}, []string{"file", "youtube"}, nil},
		{[]string{"face-swap", "--start_seconds", "0", "--style.version"}, []string{"v1", "v2", "default"}, nil},
		{[]string{"face-swap", "--assets.image_file_path"}, nil, []string{"file"}},
		{[]string{"face-swap", "--priority"}, []string{"high"}, nil},
	} {
		got := asShells(t, url, tt.words...)
		for _, want := range tt.want {
			if !slices.Contains(got, want) {
				t.Errorf("enqueue %v: no %s among %v", tt.words, want, got)
			}
		}
		for _, none := range tt.none {
			if slices.Contains(got, none) {
				t.Errorf("enqueue %v: offers %s", tt.words, none)
			}
		}
		if tt.want == nil && len(got) > 0 {
			t.Errorf("enqueue %v: offers %v", tt.words, got)
		}
	}
}

// TestCompletionOfManyJobs: no more are asked for than a person can look at.
func TestCompletionOfManyJobs(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	if _, said, code := enqueue(t, url, batchOf(offeredJobs+10), "batch", "-"); code != 0 {
		t.Fatal(said)
	}
	if got := asShells(t, url, "status"); len(got) != offeredJobs {
		t.Errorf("%d offered", len(got))
	}
}

// TestCompletionWithoutRedis: nobody waits at the prompt for a Redis that is not there, or is told of it.
func TestCompletionWithoutRedis(t *testing.T) {
	t.Parallel()
	began := time.Now()
	if got := asShells(t, nowhere, "status"); len(got) != 0 || time.Since(began) > 5*time.Second {
		t.Errorf("offers %v after %s", got, time.Since(began))
	}
}

// TestCompletionInBash goes through the script that bash is given, in a bash.
func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	_, url := start(t)
	if _, said, code := enqueue(t, url, "", "submit", "text-to-video", "--id", "order-4711", "--set", "end_seconds=5", "--set", "style.prompt=x"); code != 0 {
		t.Fatal(said)
	}
	bin := t.TempDir()
	program := fmt.Sprintf("#!%s\n%s=1 exec -a enqueue %q \"$@\"\n", bash, asProgram, os.Args[0])
	if err := os.WriteFile(filepath.Join(bin, "enqueue"), []byte(program), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	const script = `set -u
source <(enqueue completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; _enqueue; echo "${COMPREPLY[*]-}"; }
try enqueue stat
try enqueue status ord
try enqueue face-sw
try enqueue face-swap --assets.v
try enqueue list --state un
try enqueue text-to-video --aspect_ratio 1
touched=$(mktemp -u)
try enqueue submit text-to-video --set 'x=$(touch '"$touched"')' '>' "$touched" --pri
[[ ! -e $touched ]] || echo "the line was run"
`
	command := exec.CommandContext(t.Context(), bash, "-c", script) //nolint:gosec // the test's own
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "REDIS_URL="+url)
	out, err := command.CombinedOutput()
	want := "status\norder-4711\nface-swap face-swap-photo\n--assets.video_file_path --assets.video_source\nunknown\n16:9 1:1\n--priority\n"
	if err != nil || string(out) != want {
		t.Errorf("got %s, %v; want %s", out, err, want)
	}
}
