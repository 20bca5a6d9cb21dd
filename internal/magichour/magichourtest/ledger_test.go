package magichourtest

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLedgerTellsTheStory(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id, project := h.finished("ai-image-generator", `"image_count":2`)
	h.download(urls(project)[0])
	h.download(urls(project)[1], "Range", "bytes=0-9")
	h.download(urls(project)[0], "Authorization", "Bearer "+key)
	h.must("DELETE", "/v1/image-projects/"+id, "")
	h.call("GET", "/v1/image-projects/"+id, "")
	h.must("GET", "/v1/account", "")

	type line struct {
		Call    Call
		Status  int
		Project bool
	}
	var got []line
	for i, e := range h.Ledger().Events {
		if e.Seq != i+1 || e.At.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
		got = append(got, line{e.Call, e.Status, e.Project == id})
	}
	want := []line{
		{Create, 200, true}, {Poll, 200, true}, {Download, 200, true}, {Download, 206, true},
		{Violation, 400, true}, {Delete, 204, true}, {Poll, 404, true}, {Account, 200, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	totals := Totals{Creates: 1, Polls: 2, Downloads: 2, Deletes: 1, Violations: 1, Charged: 10, Credits: defaultCredits - 10}
	if diff := cmp.Diff(totals, h.Totals()); diff != "" {
		t.Error(diff)
	}
	if p, _ := h.Project(id); len(p.Downloaded) != 2 || p.Gets != 2 {
		t.Errorf("project: %+v", p)
	}
	if rest := h.LedgerSince(6).Events; len(rest) != 2 || rest[0].Seq != 7 {
		t.Errorf("since 6: %v", rest)
	}
}

func TestDeleteTellsWhatWasLost(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id, project := h.finished("ai-image-generator", `"image_count":3`)
	h.download(urls(project)[0])
	h.must("DELETE", "/v1/image-projects/"+id, "")
	if e := h.await(Delete); e.Detail != "complete, 2 outputs never downloaded" {
		t.Errorf("got %q", e.Detail)
	}
}

func TestLedgerIsBounded(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	s.ledger.limit = 10
	for range 11 {
		s.note(Event{Call: Poll})
	}
	l := s.Ledger()
	if len(l.Events) != 6 || l.Events[0].Seq != 6 || l.Totals.Polls != 11 {
		t.Errorf("got %+v", l)
	}
	if since := s.LedgerSince(10).Events; len(since) != 1 || since[0].Seq != 11 {
		t.Errorf("since 10: %v", since)
	}
}

// Projects are fields and nothing else: no goroutines, no buffers.
//
//nolint:paralleltest // it measures the heap, which others must leave alone meanwhile
func TestTenThousandProjects(t *testing.T) {
	const projects = 10_000
	c := &clock{now: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)}
	s := New(Options{Now: c.Now, MediaURL: "http://media.test", OutputSize: 1 << 30})
	call := func(method, path, body string) int {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer any")
		w := httptest.NewRecorder()
		s.API().ServeHTTP(w, r)
		return w.Code
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	body := minimal(t, "photo-colorizer")
	for range projects {
		if status := call("POST", "/v1/photo-colorizer", body); status != 200 {
			t.Fatal(status)
		}
	}
	c.advance(time.Hour)
	for _, p := range s.Projects() {
		if status := call("GET", "/v1/image-projects/"+p.ID, ""); status != 200 {
			t.Fatal(status)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / projects; each > 8<<10 {
		t.Errorf("%d bytes a project", each)
	}
	if got, want := fmt.Sprint(s.Totals().Creates, s.Totals().Polls), "10000 10000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDeleteIsJudged: whoever judges a delete sees the project as it was, is asked once, and not about
// what is gone.
func TestDeleteIsJudged(t *testing.T) {
	t.Parallel()
	var h *harness
	asked := 0
	h = start(t, Options{Render: map[string]time.Duration{"": 0}, OnDelete: func(project string) error {
		asked++
		if p, found := h.Project(project); !found || p.Deleted {
			t.Errorf("%s: found %v, deleted %v", project, found, p.Deleted)
		}
		return errors.New("no copy of it")
	}})
	id := h.create("text-to-video")
	for range 2 {
		h.call("DELETE", "/v1/video-projects/"+id, "")
	}
	if got := h.Totals(); asked != 1 || got.Violations != 1 || got.Deletes != 1 {
		t.Errorf("asked %d times, %+v", asked, got)
	}
}
