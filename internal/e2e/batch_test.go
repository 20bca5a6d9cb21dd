package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// TestBatchOfEverything: 200 jobs of all 28 operations in one batch, two workers.
func TestBatchOfEverything(t *testing.T) {
	t.Parallel()
	const jobs = 200
	f := newFleet(t, "--render", "1s")
	f.startWorker()
	f.startWorker()
	batch := mixed(t, jobs)
	ids, stderr, code := f.pipe(batch, "batch", "-")
	if code != 0 || strings.Count(ids, "\n") != jobs || stderr != "200 jobs accepted\n" {
		t.Fatalf("batch: exit %d with %d ids, %s", code, strings.Count(ids, "\n"), stderr)
	}
	again, stderr, code := f.pipe(batch, "batch", "-") // while the workers are at it
	if code != 0 || again != ids || stderr != "200 jobs accepted, 200 of them before\n" {
		t.Errorf("the same batch again: exit %d, %s", code, stderr)
	}
	out, stderr, code := f.pipe(ids, "wait", "-", "--timeout", "3m", "--json")
	if code != 0 || strings.Count(out, "\n") != jobs {
		t.Fatalf("wait: exit %d with %d lines: %s", code, strings.Count(out, "\n"), stderr)
	}
	f.checkRoad(out, jobs)
	for state, want := range map[string]int{"done": jobs, "pending,creating,unknown,rendering,storing,cleaning,failed,canceled": 0} {
		out, stderr, code := f.enqueue("list", "--json", "--limit", "0", "--state", state)
		if got := strings.Count(out, "\n"); code != 0 || got != want {
			t.Errorf("list of %s: exit %d with %d jobs, want %d: %s", state, code, got, want, stderr)
		}
	}
}

// mixed returns a batch of all operations in turn.
func mixed(t *testing.T, n int) string {
	t.Helper()
	text, err := os.ReadFile("../operations/testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	var bodies map[string]json.RawMessage
	if err := json.Unmarshal(text, &bodies); err != nil {
		t.Fatal(err)
	}
	all := operations.All()
	if len(all) != 28 {
		t.Fatalf("%d operations, want 28", len(all))
	}
	var batch strings.Builder
	for i := range n {
		op := all[i%len(all)]
		if bodies[op.Name] == nil {
			t.Fatalf("no body of %s", op.Name)
		}
		fmt.Fprintf(&batch, "{\"id\":\"%s-%d\",\"operation\":%q,\"body\":%s}\n", op.Name, i, op.Name, bodies[op.Name])
	}
	return batch.String()
}

// TestCompletion asks a real bash.
func TestCompletion(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	// The words before the cursor, the one at it, and something that must be offered.
	const script = `
source <(enqueue completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMPREPLY=(); _enqueue; echo "${COMPREPLY[*]}"; }
try enqueue ba
try enqueue submit lip
try enqueue schema face-swap-
try enqueue submit lip-sync --dr
try enqueue list --state unk
`
	cmd := exec.CommandContext(t.Context(), bash, "-c", script) //nolint:gosec // our own words
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if want := "batch\nlip-sync\nface-swap-photo\n--dry-run\nunknown\n"; err != nil || string(out) != want {
		t.Errorf("got %s, %v\nwant %s", out, err, want)
	}
}
