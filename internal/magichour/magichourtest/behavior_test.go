package magichourtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What each GET of a complete project of four images sees.
func TestWhatGETsSee(t *testing.T) {
	t.Parallel()
	tests := []struct {
		directive string
		want      []string
	}{
		{"", []string{"complete 4", "complete 4"}},
		{"error=no_source_face", []string{"error 0", "error 0"}},
		{"canceled", []string{"canceled 0"}},
		{"status=draft", []string{"draft 0", "draft 0"}},
		{"status=polishing status_for=90m", []string{"polishing 0"}},
		{"missing_gets=2", []string{"404", "404", "complete 4"}},
		{"missing_gets=-1", []string{"404", "404", "404"}},
		{"empty_gets=2", []string{"complete 0", "complete 0", "complete 4"}},
		{"empty_gets=-1", []string{"complete 0", "complete 0", "complete 0"}},
		{"late_gets=1", []string{"complete 3", "complete 4"}},
		{"late_gets=-1", []string{"complete 3", "complete 3"}},
		{"empty_gets=1 late_gets=1", []string{"complete 0", "complete 3", "complete 4"}},
		{"change_after=1", []string{"complete 4", "complete 5", "complete 5"}},
		{"outputs=2", []string{"complete 2"}},
		{"render=2h", []string{"rendering 0"}},
		{"queued=2h", []string{"queued 0"}},
	}
	for _, test := range tests {
		t.Run(test.directive, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{})
			h.lax = true // a status that nobody has heard of is not in the schema
			name := fmt.Sprintf(`"name":"clip [fake %s] [j1~t]"`, test.directive)
			id := h.create("ai-image-generator", `"image_count":4`, name)
			h.clock.advance(time.Hour)
			var seen []string
			for range test.want {
				seen = append(seen, h.glance(id))
			}
			if diff := cmp.Diff(test.want, seen); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// glance is what a GET of an image sees, in short.
func (h *harness) glance(id string) string {
	h.t.Helper()
	got := h.call("GET", "/v1/image-projects/"+id, "")
	if got.StatusCode != 200 {
		return fmt.Sprint(got.StatusCode)
	}
	var project map[string]any
	if err := json.Unmarshal(got.body, &project); err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%s %d", project["status"], len(urls(project)))
}

func TestChangedOutputsHaveOtherPaths(t *testing.T) {
	t.Parallel()
	h := start(t, Options{Behavior: Behavior{ChangeAfter: 1}})
	id, first := h.finished("face-swap")
	second := h.get("video", id)
	paths := func(project map[string]any) (all []string) {
		for _, raw := range urls(project) {
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, u.Path)
		}
		return all
	}
	for _, p := range paths(first) {
		if slices.Contains(paths(second), p) {
			t.Errorf("%s is in both", p)
		}
	}
	for _, u := range append(urls(first), urls(second)...) {
		if got := h.download(u); got.StatusCode != 200 {
			t.Errorf("%s: %s", u, got.Status)
		}
	}
}

func TestErrorIsShown(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	_, project := h.finished("face-swap", `"name":"[fake error=no_source_face]"`)
	failure := project["error"].(map[string]any)
	if failure["code"] != "no_source_face" || failure["message"] == "" || project["credits_charged"] != 0.0 {
		t.Errorf("got %v", project)
	}
}

func TestDeletes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, directive string
		options         Options
		delete, get     int
	}{
		{"404 afterwards", "", Options{}, 204, 404},
		{"tombstone by option", "", Options{DeletedAs: Disabled}, 204, 200},
		{"tombstone by directive", "deleted_as=disabled", Options{}, 204, 200},
		{"404 by directive", "deleted_as=404", Options{DeletedAs: Disabled}, 204, 404},
		{"refused", "delete_status=422", Options{}, 422, 200},
		{"forbidden", "delete_status=403", Options{}, 403, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, test.options)
			id, _ := h.finished("face-swap", fmt.Sprintf(`"name":"[fake %s]"`, test.directive))
			path := "/v1/video-projects/" + id
			if got := h.call("DELETE", path, ""); got.StatusCode != test.delete {
				t.Errorf("DELETE: %s", got.Status)
			}
			if got := h.call("GET", path, ""); got.StatusCode != test.get {
				t.Errorf("GET: %s", got.Status)
			}
			deleted := test.delete == 204
			if p, _ := h.Project(id); p.Deleted != deleted || (h.Totals().Deletes == 1) != deleted {
				t.Errorf("deleted: %v", p.Deleted)
			}
			if deleted && test.get == 200 {
				project := h.get("video", id)
				if project["enabled"] != false || len(urls(project)) != 0 || project["download"] != nil {
					t.Errorf("tombstone: %v", project)
				}
			}
		})
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const size = 100_000
	tests := []struct {
		directive string
		length    int64 // Content-Length; -1 for none
		got       int
		err       error
	}{
		{"body=truncated", size, size / 2, io.ErrUnexpectedEOF},
		{"body=cut", -1, size / 2, io.ErrUnexpectedEOF},
		{"body=short", -1, size / 2, nil},
		{"body=chunked", -1, size, nil},
		{"body=slow rate=10000000", size, size, nil},
	}
	for _, test := range tests {
		t.Run(test.directive, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{OutputSize: size})
			id, project := h.finished("face-swap", fmt.Sprintf(`"name":"[fake body_times=1 %s]"`, test.directive))
			whole, err := h.Output(id, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := h.download(urls(project)[0])
			if !errors.Is(got.err, test.err) {
				t.Errorf("error %v, want %v", got.err, test.err)
			}
			if got.ContentLength != test.length {
				t.Errorf("Content-Length %d, want %d", got.ContentLength, test.length)
			}
			equalBytes(t, got.body, whole[:test.got])
			again := h.download(urls(project)[0])
			equalBytes(t, again.body, whole)
		})
	}
}

func TestStalledBodyGoesOnAfterRelease(t *testing.T) {
	t.Parallel()
	h := start(t, Options{OutputSize: 1000, Behavior: Behavior{Body: Stalled}})
	id, project := h.finished("face-swap")
	done := make(chan answer)
	go func() { done <- h.download(urls(project)[0]) }()
	h.await(Held)
	h.Release()
	whole, err := h.Output(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	equalBytes(t, (<-done).body, whole)
}

func TestWaysToSetABehavior(t *testing.T) {
	t.Parallel()
	h := start(t, Options{Behavior: Behavior{Error: "by_option"}})
	h.Script(Behavior{Error: "by_script"}, Behavior{})
	codes := []any{}
	for _, name := range []string{"", "", "[fake error=by_name]"} {
		_, project := h.finished("face-swap", fmt.Sprintf(`"name":%q`, name))
		codes = append(codes, codeOf(project))
	}
	h.SetDefaultBehavior(Behavior{Error: "by_default"})
	_, project := h.finished("face-swap")
	codes = append(codes, codeOf(project))
	id := h.create("face-swap")
	if !h.SetBehavior(id, Behavior{Error: "by_id", Render: 1}) || h.SetBehavior("nope", Behavior{}) {
		t.Error("SetBehavior found the wrong ones")
	}
	h.clock.advance(1)
	codes = append(codes, codeOf(h.get("video", id)))
	if diff := cmp.Diff([]any{"by_script", nil, "by_name", "by_default", "by_id"}, codes); diff != "" {
		t.Error(diff)
	}
}

func codeOf(project map[string]any) any {
	failure, _ := project["error"].(map[string]any)
	return failure["code"]
}

func TestDirectives(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		want Behavior
		ok   bool
	}{
		{"no directive [j1~t]", Behavior{}, true},
		{"[fake]", Behavior{}, true},
		{"[fake canceled render=1.5s]", Behavior{Canceled: true, Render: Duration(1500 * time.Millisecond)}, true},
		{"[fake deleted_as=404 outputs=3] and more", Behavior{DeletedAs: Gone, Outputs: 3}, true},
		{"[fake error=404]", Behavior{Error: "404"}, true},
		{"[fake status_for=1m] [fake canceled]", Behavior{StatusFor: Duration(time.Minute)}, true}, // the first one counts
		{"[fake body=upside-down]", Behavior{}, false},
		{"[fake deleted_as=x]", Behavior{}, false},
		{"[fake delete_status=200]", Behavior{}, false},
		{"[fake outputs=-1]", Behavior{}, false},
		{"[fake render=fast]", Behavior{}, false},
		{"[fake what=1]", Behavior{}, false},
	}
	for _, test := range tests {
		var got Behavior
		err := applyDirective(&got, test.name)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if test.ok && got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}
