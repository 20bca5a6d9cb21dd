package pipeline

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestAnybody is TestAnyOrder with people in it, who cancel, retry and resolve whenever they like, with
// clients that die in the middle. Nothing is bought that nobody asked for, and nothing that was
// bought is forgotten.
func TestAnybody(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := begin(t, "file://"+filepath.Join(dir, strconv.Itoa(n)))
		m.people = true
		if rapid.Bool().Draw(t, "the render fails") {
			m.fake.Script(magichourtest.Behavior{Error: "no_source_face"})
		}
		t.Repeat(map[string]func(*rapid.T){
			"":          m.laws,
			"next task": m.next,
			"any task":  m.any,
			"overtake":  m.overtake,
			"sweep":     m.sweep,
			"fault":     m.fault,
			"time":      m.time,
			"person":    m.person,
		})
		m.endAsDecided(t)
	})
}

// decisions are what people may say of a job. The project is one that they have found in the library.
var decisions = map[string]func(c *tasks.Client, id, project string) error{
	"cancel":           func(c *tasks.Client, id, _ string) error { _, err := c.Cancel(context.Background(), id); return err },
	"retry":            func(c *tasks.Client, id, _ string) error { return retried(c, id, false) },
	"recreate":         func(c *tasks.Client, id, _ string) error { return retried(c, id, true) },
	"follow a project": func(c *tasks.Client, id, p string) error { return resolved(c, id, tasks.Resolution{Project: p}) },
	"buy again":        func(c *tasks.Client, id, _ string) error { return resolved(c, id, tasks.Resolution{Recreate: true}) },
	"give up":          func(c *tasks.Client, id, _ string) error { return resolved(c, id, tasks.Resolution{Fail: true}) },
}

func retried(c *tasks.Client, id string, recreate bool) error {
	_, err := c.Retry(context.Background(), id, recreate)
	return err
}

func resolved(c *tasks.Client, id string, r tasks.Resolution) error {
	_, err := c.Resolve(context.Background(), id, r)
	return err
}

// person decides something about the job.
func (m *melee) person(t *rapid.T) {
	names := slices.Sorted(maps.Keys(decisions))
	m.decide(rapid.SampledFrom(names).Draw(t, "decision"), rapid.IntRange(0, 3).Draw(t, "project"))
}

func (m *melee) decide(decision string, project int) {
	before := m.recorded(m.request.ID)
	id := "none"
	if projects := m.fake.Projects(); len(projects) > 0 {
		id = projects[project%len(projects)].ID
	}
	caller := m.begin()
	err := caller.alive(func() error { return decisions[decision](tasks.NewClient(caller.rdb), m.request.ID, id) })
	if decision == "recreate" || decision == "buy again" {
		if !errors.Is(err, tasks.ErrState) && !errors.Is(err, tasks.ErrNotFound) {
			m.asked++ // also if its answer was lost: it may have been taken
		}
	}
	after := m.recorded(m.request.ID)
	if before != nil && after != nil {
		if broken := lostToken(before, after); broken != "" {
			m.t.Errorf("%s: %s", decision, broken)
		}
	}
	m.last = nil // a person may turn the job around
}

// endAsDecided lets all trouble be over, and holds that the job stands where people have left it.
func (m *melee) endAsDecided(t *rapid.T) {
	m.calm()
	m.run()
	m.laws(t)
	job := m.recorded(m.request.ID)
	if job == nil {
		return // canceled, or never accepted
	}
	if !job.State.Settled() {
		t.Fatalf("the job stays %s", job.State)
	}
	if job.State == tasks.Done {
		m.checkCopied(job)
	}
	open := slices.ContainsFunc(job.Attempts, func(a tasks.Attempt) bool { return a.Outcome == "" || a.Outcome == tasks.Abandoned })
	for _, p := range m.fake.Projects() {
		if !knows(job, p.ID) && !open && strings.Contains(p.Name, "["+job.ID+"~") {
			t.Fatalf("project %s was bought and is forgotten: %+v", p.ID, job)
		}
	}
}
