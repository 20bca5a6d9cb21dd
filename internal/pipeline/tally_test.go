package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A tally counts the faults that were injected, and what became of the jobs.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (t *tally) plus(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[what] += n
}

func (t *tally) of(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[what]
}

// An ending is what became of a job that met faults.
type ending struct {
	met    []encounter
	calls  map[layer]int // how many there were
	job    *tasks.Job    // nil: it was never accepted
	litter int           // what copies left behind
}

// count adds an ending, if there were faults before it.
func (t *tally) count(e ending) {
	for _, f := range e.met {
		t.plus("faults", 1)
		t.plus(string(f.layer), 1)
		t.plus(string(f.kind), 1)
	}
	switch {
	case len(e.met) == 0:
		return
	case e.job == nil:
		t.plus("jobs never accepted", 1)
	case e.job.State == tasks.Unknown:
		t.plus("jobs parked", 1)
	}
	if e.litter > 0 {
		t.plus("stores with litter", 1)
	}
}

// add adds another tally.
func (t *tally) add(other *tally) {
	other.mu.Lock()
	defer other.mu.Unlock()
	for what, n := range other.counts {
		t.plus(what, n)
	}
}

// String lists the counts: "240 faults, 240 redis, ...".
func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		all = append(all, fmt.Sprintf("%d %s", t.counts[what], what))
	}
	return strings.Join(all, ", ")
}
