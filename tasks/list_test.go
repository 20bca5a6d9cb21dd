package tasks

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// list returns the ids of what List finds, in its order.
func list(t *testing.T, c *Client, f Filter) []string {
	t.Helper()
	ids := []string{}
	for job, err := range c.List(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, job.ID)
	}
	return ids
}

// move brings a job into another state as the pipeline does.
func move(t *testing.T, c *Client, id string, to State, change func(*Job)) {
	t.Helper()
	job, rev, err := c.load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	from := job.State
	job.State = to
	change(job)
	at, err := c.records.Enter(t.Context(), string(to), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.save(t.Context(), job, rev); err != nil {
		t.Fatal(err)
	}
	if err := c.records.Exit(t.Context(), string(from), id, at); err != nil {
		t.Fatal(err)
	}
}

func submit(t *testing.T, c *Client, requests ...Request) {
	t.Helper()
	for _, r := range requests {
		if _, err := c.Submit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func voice(id string) Request {
	return Request{ID: id, Operation: "ai-voice-generator", Body: []byte(`{"style":{"prompt":"x","voice_name":"Morgan Freeman"}}`)}
}

func TestList(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := NewClient(rdb)
		if got := list(t, c, Filter{}); len(got) != 0 {
			t.Errorf("of nothing: got %v", got)
		}
		submit(t, c, textToVideo("a"), voice("b"), textToVideo("c"), textToVideo("d"))
		between := time.Now()
		move(t, c, "a", Failed, func(*Job) {})
		move(t, c, "b", Rendering, func(j *Job) { j.Hold = &Hold{Code: "unauthorized"} })
		submit(t, c, textToVideo("a"), textToVideo("c")) // again: changes nothing
		tests := []struct {
			name   string
			filter Filter
			want   []string
		}{
			{"all, the last change first", Filter{}, []string{"b", "a", "d", "c"}},
			{"of one state", Filter{States: []State{Pending}}, []string{"d", "c"}},
			{"of several states", Filter{States: []State{Failed, Rendering}}, []string{"b", "a"}},
			{"of a state that no job is in", Filter{States: []State{Done}}, []string{}},
			{"of one operation", Filter{Operation: "ai-voice-generator"}, []string{"b"}},
			{"changed since", Filter{States: []State{Failed, Rendering, Done}, Since: between}, []string{"b", "a"}},
			{"changed since, but none", Filter{Since: time.Now().Add(time.Minute)}, []string{}},
			{"held", Filter{Held: true}, []string{"b"}},
			{"held, of another operation", Filter{Held: true, Operation: "text-to-video"}, []string{}},
		}
		for _, tt := range tests {
			if diff := cmp.Diff(tt.want, list(t, c, tt.filter)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	})
}

// TestListBelievesRecords: the index says where to look, and no more.
func TestListBelievesRecords(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		submit(t, c, textToVideo("a"))
		for _, entered := range []string{"rendering", "failed"} {
			if _, err := c.records.Enter(ctx, entered, "a"); err != nil { // a worker that died before its save
				t.Fatal(err)
			}
		}
		if _, err := c.records.Enter(ctx, "pending", "gone"); err != nil {
			t.Fatal(err)
		}
		if got := list(t, c, Filter{}); !slices.Equal(got, []string{"a"}) {
			t.Errorf("all: got %v, want a, once", got)
		}
		if got := list(t, c, Filter{States: []State{Failed}}); len(got) != 0 {
			t.Errorf("failed: got %v, want none: the record says pending", got)
		}
		rdb.ZAdd(ctx, "hourglass:{fleet}:jobs:failed", redis.Z{Score: 1, Member: "a"})
		rdb.ZAdd(ctx, "hourglass:{fleet}:jobs:pending", redis.Z{Score: 1, Member: "gone"})
		list(t, c, Filter{})
		failed, pending, rendering := rdb.ZCard(ctx, "hourglass:{fleet}:jobs:failed").Val(), rdb.ZCard(ctx, "hourglass:{fleet}:jobs:pending").Val(), rdb.ZCard(ctx, "hourglass:{fleet}:jobs:rendering").Val()
		if failed != 0 || pending != 1 || rendering != 1 {
			t.Errorf("failed: %d, pending: %d, rendering: %d entries; want 0, 1, 1: old ones that no record confirms are cleared, young ones may be about to be", failed, pending, rendering)
		}
	})
}

// TestSubmitAgainKeepsItsPlace: a submission that comes again, while a worker brings the job back to
// pending, takes nobody out of the index.
func TestSubmitAgainKeepsItsPlace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		ctx, c := t.Context(), NewClient(rdb)
		submit(t, c, textToVideo("a"))
		move(t, c, "a", Creating, func(*Job) {})
		job, rev, err := c.load(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		at, err := c.records.Enter(ctx, string(Pending), "a") // a worker gives its mark back
		if err != nil {
			t.Fatal(err)
		}
		submit(t, c, textToVideo("a"))
		job.State = Pending
		if _, err := c.save(ctx, job, rev); err != nil {
			t.Fatal(err)
		}
		if err := c.records.Exit(ctx, string(Creating), "a", at); err != nil {
			t.Fatal(err)
		}
		if got := list(t, c, Filter{}); !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %v, want a", got)
		}
	})
}

func TestListShowsWhatCantBeRead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		c := NewClient(rdb)
		submit(t, c, textToVideo("a"), textToVideo("b"))
		if _, err := c.records.Enter(t.Context(), "pending", "later"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.records.Save(t.Context(), "later", []byte(`{"v":99,"id":"later"}`), records.Absent, 0); err != nil {
			t.Fatal(err)
		}
		ids, errs := 0, 0
		for _, err := range c.List(t.Context(), Filter{}) {
			if err != nil {
				errs++
				continue
			}
			ids++
		}
		if ids != 2 || errs != 1 {
			t.Errorf("got %d jobs and %d errors, want 2 and 1", ids, errs)
		}
	})
}

// spy notes the commands that are sent.
type spy struct {
	mu   sync.Mutex
	sent map[string]int
}

func (s *spy) note(cmds ...redis.Cmder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cmd := range cmds {
		s.sent[strings.ToLower(cmd.Name())]++
	}
}

func (s *spy) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (s *spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { s.note(cmd); return next(ctx, cmd) }
}

func (s *spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { s.note(cmds...); return next(ctx, cmds) }
}

// TestListPages: every job once, in order, by reading pages of the index and never the keys; and no
// more of them than are asked for.
func TestListPages(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		const jobs = 2*listPage + 7
		ctx, c := t.Context(), NewClient(rdb)
		pipe := rdb.Pipeline()
		want := []string{}
		for i := range jobs {
			id := fmt.Sprintf("job-%04d", i)
			// Several came at one moment, also where two pages meet.
			pipe.ZAdd(ctx, "hourglass:{fleet}:jobs:"+string(States()[i/10%2]), redis.Z{Score: float64(1e15 + i/10), Member: id})
			pipe.HSet(ctx, "hourglass:{"+id+"}:record", "rev", "1", "job", fmt.Sprintf(`{"v":1,"id":%q,"state":%q}`, id, States()[i/10%2]))
			want = append(want, id)
		}
		pipe.HSet(ctx, "hourglass:{elsewhere}:record", "rev", "1", "job", `{"v":1,"id":"elsewhere","state":"pending"}`)
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		watch := &spy{sent: map[string]int{}}
		rdb.AddHook(watch)
		got := list(t, c, Filter{})
		if !slices.IsSortedFunc(got, func(a, b string) int { return strings.Compare(b[:7], a[:7]) }) {
			t.Error("not the last first")
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("jobs (-want +got):\n%s", diff)
		}
		for name := range watch.sent {
			if !slices.Contains([]string{"zrevrangebyscore", "hget", "pipeline", "hello", "client"}, name) {
				t.Errorf("it sends %s", name)
			}
		}
		watch.sent = map[string]int{}
		for _, err := range c.List(ctx, Filter{}) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		if n := watch.sent["hget"]; n == 0 || n > listPage {
			t.Errorf("it loads %d records to show one", n)
		}
	})
}

// put writes jobs straight into the index and the records, at the moments that at says.
func put(t *testing.T, rdb redis.UniversalClient, n int, at func(int) (id, tenant string, moment int64)) {
	t.Helper()
	pipe := rdb.Pipeline()
	for i := range n {
		id, tenant, moment := at(i)
		pipe.ZAdd(t.Context(), "hourglass:{fleet}:jobs:pending", redis.Z{Score: float64(moment), Member: id})
		pipe.HSet(t.Context(), "hourglass:{"+id+"}:record", "rev", "1", "job", fmt.Sprintf(`{"v":1,"id":%q,"state":"pending","options":{"tenant":%q}}`, id, tenant))
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestListMoment: jobs that are submitted together come at one moment, which may be more than are read at once.
func TestListMoment(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		const together = 3*listPage + 1
		put(t, rdb, together+1, func(i int) (string, string, int64) {
			return fmt.Sprintf("job-%04d", i), "acme", 1e15 + int64(i)/together
		})
		c := NewClient(rdb)
		if got := list(t, c, Filter{}); len(got) != together+1 {
			t.Errorf("lists %d of %d", len(got), together+1)
		}
		seen := map[string]bool{}
		for next, first := "", true; first || next != ""; first = false {
			jobs, after, err := c.Page(t.Context(), Filter{}, next, 200)
			if err != nil {
				t.Fatal(err)
			}
			for _, job := range jobs {
				if seen[job.ID] {
					t.Errorf("%s comes twice", job.ID)
				}
				seen[job.ID] = true
			}
			next = after
		}
		if len(seen) != together+1 {
			t.Errorf("in parts: %d of %d", len(seen), together+1)
		}
	})
}

// TestCursorKeepsQuiet: a cursor goes to whoever asks for the jobs of one tenant, and names none of another's.
func TestCursorKeepsQuiet(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		put(t, rdb, listPage+1, func(i int) (string, string, int64) {
			if i%listPage == 0 {
				return fmt.Sprintf("acme-%04d", i), "acme", 1e15 + int64(i)
			}
			return fmt.Sprintf("rival-%04d", i), "rival", 1e15 + int64(i)
		})
		c, next := NewClient(rdb), ""
		for _, want := range []string{fmt.Sprintf("acme-%04d", listPage), "acme-0000"} {
			jobs, after, err := c.Page(t.Context(), Filter{Tenant: "acme"}, next, 1)
			if err != nil || len(jobs) != 1 || jobs[0].ID != want {
				t.Fatalf("got %v, %v, want %s", jobs, err, want)
			}
			if text, err := base64.RawURLEncoding.DecodeString(after); err != nil || strings.Contains(string(text), "rival") {
				t.Errorf("the cursor says %s, %v", text, err)
			}
			next = after
		}
	})
}

// TestListBesideItsPlace: a worker that died before it had changed a record has left the job in a place too many. The job
// is listed where it is.
func TestListBesideItsPlace(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, rdb redis.UniversalClient) {
		put(t, rdb, 1, func(int) (string, string, int64) { return "a", "", 1e15 })
		rdb.ZAdd(t.Context(), "hourglass:{fleet}:jobs:creating", redis.Z{Score: float64(time.Now().UnixMicro()), Member: "a"})
		if got := list(t, NewClient(rdb), Filter{}); !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %v", got)
		}
	})
}
