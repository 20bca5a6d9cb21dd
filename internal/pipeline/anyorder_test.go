package pipeline

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"pgregory.net/rapid"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestAnyOrder lets anything happen to a job in any order: tasks that are stale, doubled, lost or
// overtaken in the middle of a call, faults, submissions, sweeps, and time. The laws hold at every
// step, and when it is over the job comes to its end.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := begin(t, "file://"+filepath.Join(dir, strconv.Itoa(n)))
		t.Repeat(map[string]func(*rapid.T){
			"":            m.laws,
			"next task":   m.next,
			"any task":    m.any,
			"overtake":    m.overtake,
			"lose a task": m.lose,
			"submit":      m.submit,
			"sweep":       m.sweep,
			"fault":       m.fault,
			"time":        m.time,
		})
		m.end()
	})
}

// A melee is a world in which things happen to one job.
type melee struct {
	*world
	request tasks.Request
	seen    []*asynq.TaskInfo // every task there ever was
	last    *tasks.Job        // the record as it was last seen; nil before there is one
	people  bool              // there are some, who decide
	asked   int               // how often one of them has asked to buy again
}

func begin(t *rapid.T, url string) *melee {
	r := rapid.SampledFrom(requests()[:2]).Draw(t, "request")
	store := open(t, url, storage.Options{})
	w := newWorldOn(t, magichourtest.Options{Render: slow, OutputSize: 300}, time.Now(), store)
	w.litter = func() []string { return nil } // whoever is killed leaves some
	w.stores = func(p *process) storage.Store { return storeGate{p, store} }
	w.recovery.retained = rapid.Bool().Draw(t, "retained")
	w.start()
	m := &melee{world: w, request: r}
	if rapid.Bool().Draw(t, "bare") {
		w.submit(r)
	} else {
		m.submit(t)
	}
	return m
}

// look notes what waits now.
func (m *melee) look() []*asynq.TaskInfo {
	waiting := m.waiting()
	for _, info := range waiting {
		if !slices.ContainsFunc(m.seen, func(s *asynq.TaskInfo) bool { return s.ID == info.ID }) {
			m.seen = append(m.seen, info)
		}
	}
	return waiting
}

// draw chooses one of the tasks; a test without any is skipped.
func (m *melee) draw(t *rapid.T, infos []*asynq.TaskInfo) *asynq.TaskInfo {
	if len(infos) == 0 {
		t.Skip("there is no task")
	}
	return infos[rapid.IntRange(0, len(infos)-1).Draw(t, "task")]
}

func (m *melee) next(t *rapid.T) {
	info := m.draw(t, m.look())
	m.forward(15 * time.Second)
	_ = m.step(info)
}

// any runs a task whatever has become of it.
func (m *melee) any(t *rapid.T) {
	m.look()
	m.rerun(m.draw(t, m.seen))
}

func (m *melee) rerun(info *asynq.TaskInfo) {
	_ = m.handle(context.Background(), asynq.NewTask(info.Type, info.Payload))
}

// overtake runs a task, freezes it at a call, and lets others go on meanwhile.
func (m *melee) overtake(t *rapid.T) {
	m.look()
	frozen, other := m.draw(t, m.seen), m.draw(t, m.seen)
	at := rapid.SampledFrom([]string{
		"redis hmget after", "redis evalsha before", "redis evalsha after", "redis pipeline before", "redis pipeline after",
		"http POST before", "http POST after", "http GET after", "http DELETE before", "store head after", "store put before", "store put after",
	}).Draw(t, "frozen at")
	lasts := rapid.SampledFrom([]time.Duration{time.Second, 40 * time.Second, 3 * time.Minute}).Draw(t, "for")
	steps := rapid.IntRange(0, 6).Draw(t, "others")
	decision, project := "", 0
	if m.people && rapid.Bool().Draw(t, "somebody decides") {
		decision, project = rapid.SampledFrom(slices.Sorted(maps.Keys(decisions))).Draw(t, "decision"), rapid.IntRange(0, 3).Draw(t, "project")
	}
	m.frozen = true
	frozenIn, over := m.process, false
	var beside sync.Mutex // held while others go on; the frozen process may be killed meanwhile, by another of its copies
	m.when(at, func() {
		beside.Lock()
		defer beside.Unlock()
		if over {
			return
		}
		process, pipeline := m.process, m.pipeline
		defer func() { m.process, m.pipeline = process, pipeline }()
		m.start() // another worker: it dies alone
		m.forward(lasts)
		m.rerun(other)
		for i := range steps {
			if i == steps/2 && decision != "" {
				m.decide(decision, project)
			}
			m.goOnBeside(frozen)
		}
	})
	handler := m.pipeline
	err := frozenIn.alive(func() error {
		return handler.Handle(context.Background(), asynq.NewTask(frozen.Type, frozen.Payload))
	})
	m.when(at, nil)
	beside.Lock()
	defer beside.Unlock()
	if over = true; errors.Is(err, errKilled) {
		m.start()
	}
}

// goOnBeside runs the next task, but for one.
func (m *melee) goOnBeside(frozen *asynq.TaskInfo) {
	for _, info := range m.look() {
		if info.ID != frozen.ID {
			m.forward(15 * time.Second)
			_ = m.step(info)
			return
		}
	}
}

func (m *melee) lose(t *rapid.T) {
	info := m.draw(t, m.look())
	if err := m.inspector.DeleteTask(info.Queue, info.ID); err != nil {
		t.Fatal(err)
	}
}

func (m *melee) submit(*rapid.T) {
	caller := m.begin()
	_ = caller.alive(func() error {
		_, err := tasks.NewClient(caller.rdb).Submit(context.Background(), m.request)
		return err
	})
}

func (m *melee) sweep(*rapid.T) { m.sweepAfter(grace + time.Minute) }

// fault lets one of the next calls of a layer fail.
func (m *melee) fault(t *rapid.T) {
	l := rapid.SampledFrom(layers()).Draw(t, "layer")
	n := rapid.IntRange(1, 8).Draw(t, "in how many calls")
	kind := rapid.SampledFrom(kinds()).Draw(t, "kind")
	m.mu.Lock() // a killed process may still be at a gate
	defer m.mu.Unlock()
	m.faults = append(m.faults, fault{l, m.count[l] + n, kind})
}

func (m *melee) time(t *rapid.T) {
	m.forward(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 20 * time.Minute}).Draw(t, "passes"))
}

// laws hold at every step.
func (m *melee) laws(t *rapid.T) {
	if got := m.fake.Totals(); got.Creates > 1+m.asked || got.Violations > 0 {
		t.Fatalf("%d creates were charged, and %d asked for; %d violations", got.Creates, 1+m.asked, got.Violations)
	}
	if len(m.unproved) > 0 {
		t.Fatalf("deleted before the proof: %v", m.unproved)
	}
	m.checkNotAhead(m.look())
	job := m.recorded(m.request.ID)
	if m.last != nil {
		if job == nil {
			t.Fatal("the record is lost")
		}
		if broken := never(m.last, job); broken != "" {
			t.Fatalf("%s:\nfrom %+v\nto   %+v", broken, m.last, job)
		}
	}
	m.last = job
}

// end lets all trouble be over.
func (m *melee) end() {
	m.look()
	m.calm()
	m.submit(nil)
	m.run()
	m.settle()
	m.checkEnd(m.request.ID, true)
}
