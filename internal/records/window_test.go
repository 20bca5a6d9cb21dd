package records

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		enter := func(job string, priority int, tenant string) bool {
			t.Helper()
			in, others, err := s.EnterWindow(t.Context(), 2, Place{Job: job, Epoch: 1, Priority: priority, Tenant: tenant})
			if err != nil || len(others) > 0 {
				t.Fatalf("%s: let in %v (%v)", job, others, err)
			}
			return in
		}
		leave := func(job string, epoch int) []string {
			t.Helper()
			admitted, err := s.LeaveWindow(t.Context(), 2, job, epoch)
			if err != nil {
				t.Fatal(err)
			}
			return admitted
		}
		if !enter("a1", 2, "a") || !enter("a2", 2, "a") || enter("a3", 2, "a") {
			t.Error("a window of two does not hold exactly two")
		}
		if !enter("a1", 2, "a") || enter("a3", 2, "a") {
			t.Error("a job that enters again does not keep what it has")
		}
		for job, tenant := range map[string]string{"a4": "a", "b1": "b"} {
			if enter(job, 2, tenant) {
				t.Errorf("%s got a third slot", job)
			}
		}
		enter("urgent", 1, "a")
		enter("whenever", 3, "c")
		if got := leave("a1", 0); len(got) != 0 {
			t.Errorf("an earlier epoch gave a slot back, to %v", got)
		}
		var got []string
		for _, job := range []string{"a1", "urgent", "b1", "a2", "a3"} {
			got = append(got, leave(job, 1)...)
		}
		if want := "urgent b1 a3 a4 whenever"; strings.Join(got, " ") != want {
			t.Errorf("let in in the order %v, want %s", got, want)
		}
		if got := leave("a3", 1); len(got) != 0 {
			t.Errorf("left twice, to the good of %v", got)
		}
		leave("a4", AnyEpoch)
		leave("whenever", 1)
		if err := s.rdb.Del(t.Context(), windowKeys+"limited").Err(); err != nil {
			t.Fatal(err)
		}
		if left := s.rdb.Keys(t.Context(), windowKeys+"*").Val(); !slices.Equal(left, []string{windowKeys + "tenants"}) {
			t.Errorf("an empty window keeps %v", left)
		}
		if left := s.rdb.HKeys(t.Context(), windowKeys+"tenants").Val(); !slices.Equal(left, []string{"number"}) {
			t.Errorf("an empty window remembers %v", left)
		}
	})
}

// TestWindowDeadline: a job that is given a slot is overdue soon, should nobody tell it.
func TestWindowDeadline(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		for _, job := range []string{"one", "two"} {
			if _, _, err := s.EnterWindow(t.Context(), 1, Place{Job: job, Epoch: 1, Priority: 2}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SetDeadline(t.Context(), "two", time.Hour); err != nil {
			t.Fatal(err)
		}
		if got, err := s.LeaveWindow(t.Context(), 1, "one", 1); err != nil || !slices.Equal(got, []string{"two"}) {
			t.Fatalf("let in %v (%v)", got, err)
		}
		if forward == nil {
			return
		}
		forward(admittedWithin + time.Second)
		late, err := s.Overdue(t.Context(), 0, 10)
		if err != nil || !slices.ContainsFunc(late, func(o Overdue) bool { return o.Job == "two" }) {
			t.Errorf("overdue are %v (%v), want two among them", late, err)
		}
	})
}

// TestWindowOfOthers: a worker that has no limit lets nobody in while others have one. A minute after them
// it lets all go, and no slot is left.
func TestWindowOfOthers(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, forward func(time.Duration)) {
		for n := range 50 {
			if _, _, err := s.EnterWindow(t.Context(), 2, Place{Job: fmt.Sprint(n), Epoch: 1, Priority: 2}); err != nil {
				t.Fatal(err)
			}
		}
		open := func() int {
			t.Helper()
			admitted, err := s.OpenWindow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(admitted)
		}
		if n := open(); n != 0 {
			t.Errorf("%d were let in by a worker without a limit", n)
		}
		if left := s.rdb.PTTL(t.Context(), windowKeys+"limited").Val(); left <= 50*time.Second || left > time.Minute {
			t.Errorf("the limit stands for %s, want a minute", left)
		}
		if forward == nil {
			return
		}
		forward(50 * time.Second)
		if _, err := s.FillWindow(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		forward(50 * time.Second)
		if n := open(); n != 0 {
			t.Errorf("%d were let in though a worker with a limit is alive", n)
		}
		forward(11 * time.Second)
		if one, two, three, four := open(), open(), open(), open(); one != admitAtMost || two != admitAtMost || three != 8 || four != 0 {
			t.Errorf("let go %d, %d, %d and %d, want the 48 that waited", one, two, three, four)
		}
		if used, waiting, err := s.Window(t.Context()); used != 0 || waiting != 0 || err != nil {
			t.Errorf("%d slots are left, and %d wait (%v)", used, waiting, err)
		}
	})
}

// TestManySlots: they are looked at page by page.
func TestManySlots(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store, _ func(time.Duration)) {
		const many = 1000
		var jobs []string
		for n := range many {
			jobs = append(jobs, fmt.Sprint(n))
			if _, err := s.JoinWindow(t.Context(), Place{Job: jobs[n], Epoch: 7, Priority: 2, Tenant: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		found := map[string]int{}
		for from := uint64(0); ; {
			some, next, err := s.Slots(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			for _, slot := range some {
				found[slot.Job] = slot.Epoch
			}
			if from = next; next == 0 {
				break
			}
		}
		if len(found) != many || found["999"] != 7 {
			t.Errorf("found %d slots, that of 999 of epoch %d", len(found), found["999"])
		}
		if got, err := s.WithoutSlot(t.Context(), []string{"7", "x", "8", "y"}); err != nil || !slices.Equal(got, []string{"x", "y"}) {
			t.Errorf("without a slot are %v (%v)", got, err)
		}
	})
}

// A model is the window as a person would write it down.
type model struct {
	slots   map[string]Place
	waiting []Place // in the order in which they came
	served  map[string]int
	number  int
	limited bool // a worker with a limit was here within the last minute
}

func (m *model) used(tenant string) (n int) {
	for _, p := range m.slots {
		if p.Tenant == tenant {
			n++
		}
	}
	return n
}

func (m *model) forget() {
	for tenant := range m.served {
		if m.used(tenant) == 0 && !slices.ContainsFunc(m.waiting, func(p Place) bool { return p.Tenant == tenant }) {
			delete(m.served, tenant)
		}
	}
}

func (m *model) enter(p Place) {
	if _, in := m.slots[p.Job]; in || m.waits(p.Job) {
		return
	}
	m.number++
	m.waiting = append(m.waiting, p)
	if _, known := m.served[p.Tenant]; !known {
		m.served[p.Tenant] = m.number
	}
}

func (m *model) waits(job string) bool {
	return slices.ContainsFunc(m.waiting, func(p Place) bool { return p.Job == job })
}

func (m *model) leave(job string) {
	delete(m.slots, job)
	m.waiting = slices.DeleteFunc(m.waiting, func(p Place) bool { return p.Job == job })
	m.forget()
}

// next takes the one from the queue whose turn it is.
func (m *model) next() Place {
	next := slices.MinFunc(m.waiting, func(a, b Place) int { // the first of equals
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(m.used(a.Tenant), m.used(b.Tenant)), cmp.Compare(m.served[a.Tenant], m.served[b.Tenant]))
	})
	m.waiting = slices.DeleteFunc(m.waiting, func(p Place) bool { return p.Job == next.Job })
	m.number++
	m.served[next.Tenant] = m.number
	return next
}

// fill lets in as many as there are slots, and returns them in order.
func (m *model) fill(limit int) (admitted []string) {
	m.limited = true
	for len(m.waiting) > 0 && len(m.slots) < limit && len(admitted) < admitAtMost {
		next := m.next()
		m.slots[next.Job] = next
		admitted = append(admitted, next.Job)
	}
	return admitted
}

// open lets all who wait go, and forgets the slots.
func (m *model) open() (admitted []string) {
	if m.limited {
		return nil
	}
	clear(m.slots)
	for m.forget(); len(m.waiting) > 0 && len(admitted) < admitAtMost; m.forget() {
		admitted = append(admitted, m.next().Job)
	}
	return admitted
}

// TestAnyWindow does anything in any order, and holds the window against the model: never more slots than the
// limit, none twice, none lost, and each to whose turn it is.
func TestAnyWindow(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]string{"miniredis": miniredis.RunT(t).Addr(), "redis": testservers.Redis(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := redis.NewClient(&redis.Options{Addr: addr})
			t.Cleanup(func() { _ = rdb.Close() })
			rapid.Check(t, func(t *rapid.T) {
				if err := rdb.FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
				anyWindow(t, New(rdb))
			})
		})
	}
}

func anyWindow(t *rapid.T, s *Store) {
	m := &model{slots: map[string]Place{}, served: map[string]int{}}
	limit := rapid.IntRange(1, 4).Draw(t, "limit")
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		tenant := rapid.SampledFrom([]string{"", "a", "a.b", "z"}).Draw(t, "tenant")
		priority := rapid.IntRange(1, 3).Draw(t, "priority")
		p := Place{Job: fmt.Sprintf("%s.%d.%d", tenant, priority, rapid.IntRange(0, 3).Draw(t, "job")), Epoch: 1, Priority: priority, Tenant: tenant}
		var got, want []string
		var err error
		switch rapid.SampledFrom([]string{"enter", "enter", "leave", "late", "fill", "limit", "join", "open", "minute", "lose"}).Draw(t, "does") {
		case "enter":
			var in bool
			in, got, err = s.EnterWindow(t.Context(), limit, p)
			m.enter(p)
			want = slices.DeleteFunc(m.fill(limit), func(job string) bool { return job == p.Job })
			if _, has := m.slots[p.Job]; has != in {
				t.Fatalf("%s: in is %v, want %v", p.Job, in, has)
			}
		case "leave":
			got, err = s.LeaveWindow(t.Context(), limit, p.Job, 1)
			m.leave(p.Job)
			want = m.fill(limit)
		case "late": // of an epoch before
			got, err = s.LeaveWindow(t.Context(), limit, p.Job, 0)
			want = m.fill(limit)
		case "fill":
			got, err = s.FillWindow(t.Context(), limit)
			want = m.fill(limit)
		case "limit":
			limit = rapid.IntRange(1, 4).Draw(t, "new limit")
		case "open": // by a worker that has no limit
			got, err = s.OpenWindow(t.Context())
			want = m.open()
		case "minute": // without a worker that has a limit
			err = s.rdb.Del(t.Context(), windowKeys+"limited").Err()
			m.limited = false
		case "lose":
			lost := rapid.SampledFrom([][]string{{"order"}, {"turns:1", "turns:2", "turns:3"}, {"order", "turns:1", "turns:2", "turns:3"}}).Draw(t, "lost")
			for _, key := range lost {
				err = errors.Join(err, s.rdb.Del(t.Context(), windowKeys+key).Err())
			}
		case "join":
			if _, has := m.slots[p.Job]; !has {
				m.waiting = slices.DeleteFunc(m.waiting, func(w Place) bool { return w.Job == p.Job })
				m.slots[p.Job] = p
			}
			_, err = s.JoinWindow(t.Context(), p)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("let in %v, want %v", got, want)
		}
		slots, _, err := s.Slots(t.Context(), 0)
		if err != nil || len(slots) != len(m.slots) || slices.ContainsFunc(slots, func(slot Slot) bool { _, has := m.slots[slot.Job]; return !has }) {
			t.Fatalf("slots %v (%v), want %v", slots, err, m.slots)
		}
		if used, waits, err := s.Window(t.Context()); err != nil || int(used) != len(m.slots) || int(waits) != len(m.waiting) {
			t.Fatalf("%d in, %d wait (%v); want %d and %d", used, waits, err, len(m.slots), len(m.waiting))
		}
	}
}
