package magichourtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// A clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A harness is a fake on real connections, with a clock of its own. Every answer of its
// API is held against the published schema, unless the test injects others.
type harness struct {
	*Server
	t      *testing.T
	clock  *clock
	api    string
	client *http.Client
	lax    bool // answers may break the schema
}

const key = "mhk_live_test"

func start(t *testing.T, o Options) *harness {
	t.Helper()
	h := &harness{t: t, clock: &clock{now: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)}}
	o.Now, o.Key = h.clock.Now, key
	h.Server = New(o)
	h.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	checked := httptest.NewServer(h.checkSchema(h.API()))
	t.Cleanup(func() {
		h.Close()
		checked.Close()
	})
	h.api = checked.URL
	return h
}

// An answer is a response that was read to its end; err is why it ended, if not well.
type answer struct {
	*http.Response
	body []byte
	err  error
}

func (h *harness) do(method, url, body string, headers ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{resp, got, err}
}

func (h *harness) call(method, path, body string) answer {
	h.t.Helper()
	return h.do(method, h.api+path, body, "Authorization", "Bearer "+key)
}

// must is a call that succeeds; its JSON is returned.
func (h *harness) must(method, path, body string) map[string]any {
	h.t.Helper()
	got := h.call(method, path, body)
	if got.err != nil || got.StatusCode/100 != 2 {
		h.t.Fatalf("%s %s: %v, %s, %v", method, path, got.Response, got.body, got.err)
	}
	var object map[string]any
	if len(got.body) > 0 {
		if err := json.Unmarshal(got.body, &object); err != nil {
			h.t.Fatal(err)
		}
	}
	return object
}

// create makes a project with a minimal request and the members given, such as `"name":"x"`.
func (h *harness) create(operation string, members ...string) string {
	h.t.Helper()
	answer := h.must("POST", "/v1/"+operation, minimal(h.t, operation, members...))
	return answer["id"].(string)
}

func (h *harness) get(kind, id string) map[string]any {
	h.t.Helper()
	return h.must("GET", "/v1/"+kind+"-projects/"+id, "")
}

// finished is a project of a minimal request that has ended, and its first GET.
func (h *harness) finished(operation string, members ...string) (id string, project map[string]any) {
	h.t.Helper()
	id = h.create(operation, members...)
	h.clock.advance(time.Hour)
	op, _ := operations.Lookup(operation)
	return id, h.get(string(op.Kind), id)
}

func urls(project map[string]any) []string {
	var all []string
	for _, d := range project["downloads"].([]any) {
		all = append(all, d.(map[string]any)["url"].(string))
	}
	return all
}

func (h *harness) download(url string, headers ...string) answer {
	h.t.Helper()
	return h.do("GET", url, "", headers...)
}

// await fails the test if the event doesn't come.
func (h *harness) await(call Call) Event {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Second)
	defer cancel()
	e, err := h.Await(ctx, func(e Event) bool { return e.Call == call })
	if err != nil {
		h.t.Fatalf("waiting for %s: %v", call, err)
	}
	return e
}

// minimal is the smallest request that is valid, with members added or replaced.
func minimal(t *testing.T, operation string, members ...string) string {
	t.Helper()
	file, err := os.ReadFile("../../operations/testdata/minimal.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(file, &all); err != nil {
		t.Fatal(err)
	}
	object, ok := all[operation]
	if !ok {
		t.Fatalf("no operation %s", operation)
	}
	if err := json.Unmarshal([]byte("{"+strings.Join(members, ",")+"}"), &object); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMinimalRequestsAreValid(t *testing.T) {
	t.Parallel()
	for _, op := range operations.All() {
		warnings, err := op.Validate([]byte(minimal(t, op.Name)))
		if err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v", op.Name, warnings, err)
		}
	}
}

func equalBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, want %d, or others", len(got), len(want))
	}
}
