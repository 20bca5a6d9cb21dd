package magichourtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// Every answer here is checked against the published schema by the harness.
func TestEveryOperationFromCreateToDelete(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	for _, op := range operations.All() {
		kind := string(op.Kind)
		id := h.create(op.Name)
		path := "/v1/" + kind + "-projects/" + id
		var seen []any
		for range 3 {
			seen = append(seen, h.get(kind, id)["status"])
			h.clock.advance(op.Typical / 2)
		}
		if diff := cmp.Diff([]any{"queued", "rendering", "complete"}, seen); diff != "" {
			t.Errorf("%s: %s", op.Name, diff)
		}
		project := h.get(kind, id)
		for _, url := range urls(project) {
			if got := h.download(url); got.StatusCode != 200 || len(got.body) == 0 {
				t.Errorf("%s: download: %v", op.Name, got.Status)
			}
		}
		h.must("DELETE", path, "")
		for _, method := range []string{"GET", "DELETE"} {
			if got := h.call(method, path, ""); got.StatusCode != 404 {
				t.Errorf("%s: %s after delete: %s", op.Name, method, got.Status)
			}
		}
	}
}

func TestDeprecatedFieldsAreThere(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	tests := []struct {
		operation, kind string
		create, get     []string
	}{
		{"face-swap", "video", []string{"estimated_frame_cost"}, []string{"total_frame_cost", "download"}},
		{"head-swap", "image", []string{"frame_cost"}, []string{"total_frame_cost"}},
		{"ai-voice-generator", "audio", nil, nil},
	}
	for _, test := range tests {
		created := h.must("POST", "/v1/"+test.operation, minimal(t, test.operation))
		project := h.get(test.kind, created["id"].(string))
		for _, field := range test.create {
			if created[field] != created["credits_charged"] {
				t.Errorf("%s: created without %s: %v", test.operation, field, created)
			}
		}
		for _, field := range test.get {
			if _, ok := project[field]; !ok {
				t.Errorf("%s: no %s in %v", test.operation, field, project)
			}
		}
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	long := "film [j1~0123abcd] " + strings.Repeat("ü", 500)
	id := h.create("face-swap", fmt.Sprintf("%q:%q", "name", long))
	if got := h.get("video", id)["name"]; got != long {
		t.Errorf("got %q, want it whole", got)
	}
	id = h.create("face-swap")
	if got := h.get("video", id)["name"]; got != "Face Swap - 2026-10-01T12:00:00.000Z" {
		t.Errorf("default name: got %q", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	h := start(t, Options{Credits: 20})
	id := h.create("ai-voice-generator")
	tests := []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"no body", "POST", "/v1/face-swap", "", 400, "invalid_request"},
		{"not JSON", "POST", "/v1/face-swap", "{", 400, "invalid_request"},
		{"against the schema", "POST", "/v1/face-swap", "{}", 422, "unprocessable_entity"},
		{"directive with a typo", "POST", "/v1/photo-colorizer", minimal(t, "photo-colorizer", `"name":"[fake eror=x]"`), 422, "unprocessable_entity"},
		{"too expensive", "POST", "/v1/text-to-video", minimal(t, "text-to-video", `"end_seconds":60`), 402, "insufficient_credits"},
		{"unknown id", "GET", "/v1/video-projects/nope", "", 404, "not_found"},
		{"wrong kind", "GET", "/v1/video-projects/" + id, "", 404, "not_found"},
		{"delete of the wrong kind", "DELETE", "/v1/image-projects/" + id, "", 404, "not_found"},
		{"unknown route", "GET", "/v1/nothing", "", 404, "not_found"},
		{"upload of nothing", "POST", "/v1/files/upload-urls", `{"items":[]}`, 422, "unprocessable_entity"},
		{"upload of the wrong type", "POST", "/v1/files/upload-urls", `{"items":[{"type":"audio","extension":"mp4"}]}`, 422, "unprocessable_entity"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := h.call(test.method, test.path, test.body)
			if got.StatusCode != test.status || !strings.Contains(string(got.body), `"code":"`+test.code+`"`) {
				t.Errorf("got %d %s, want %d %s", got.StatusCode, got.body, test.status, test.code)
			}
		})
	}
	if creates := h.Totals().Creates; creates != 1 {
		t.Errorf("%d creates charged, want 1", creates)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	account := h.api + "/v1/account"
	for _, header := range []string{"", "Bearer ", "Bearer other", key} {
		if got := h.do("GET", account, "", "Authorization", header); got.StatusCode != 401 {
			t.Errorf("%q: %s", header, got.Status)
		}
	}
	h.RevokeKey(true)
	if got := h.call("GET", "/v1/account", ""); got.StatusCode != 401 {
		t.Errorf("revoked: %s", got.Status)
	}
	h.RevokeKey(false)
	h.SetKey("new")
	if got := h.do("GET", account, "", "Authorization", "Bearer new"); got.StatusCode != 200 {
		t.Errorf("rotated: %s", got.Status)
	}
}

func TestCredits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, directive string
		charged, final             int
	}{
		{"a video's estimate is corrected", "text-to-video", "", 50, 45},
		{"images cost by the piece", "ai-image-generator", "", 15, 15},
		{"audio", "ai-voice-generator", "", 3, 3},
		{"an error is refunded", "text-to-video", "[fake error=no_source_face]", 50, 0},
		{"a cancel is refunded", "text-to-video", "[fake canceled]", 50, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{Credits: 100})
			h.create(test.operation, fmt.Sprintf(`"name":%q`, test.directive), `"end_seconds":5`, `"image_count":3`)
			if got := h.must("GET", "/v1/account", "")["credits"]; got != float64(100-test.charged) {
				t.Errorf("after create: %v credits", got)
			}
			h.clock.advance(time.Hour)
			if got := h.must("GET", "/v1/account", "")["credits"]; got != float64(100-test.final) {
				t.Errorf("at the end: %v credits", got)
			}
			if p := h.Projects()[0]; p.Credits != test.final {
				t.Errorf("project: %d credits", p.Credits)
			}
			want := Totals{Creates: 1, Charged: test.charged, Refunded: test.charged - test.final, Credits: 100 - test.final}
			if diff := cmp.Diff(want, h.Totals()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRenderTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options Options
		want    time.Duration
	}{
		{"published", Options{}, 51 * time.Second},
		{"scaled", Options{TimeScale: 0.01}, 510 * time.Millisecond},
		{"of the operation", Options{Render: map[string]time.Duration{"text-to-video": time.Minute, "": time.Hour}}, time.Minute},
		{"of all", Options{Render: map[string]time.Duration{"": time.Hour}}, time.Hour},
		{"of the project", Options{Behavior: Behavior{Render: Duration(time.Second)}}, time.Second},
		{"at once", Options{Render: map[string]time.Duration{"": 0}}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, test.options)
			id := h.create("text-to-video")
			if test.want > 0 {
				h.clock.advance(test.want - 1)
				if got := h.get("video", id)["status"]; got != "rendering" {
					t.Errorf("just before: %v", got)
				}
				h.clock.advance(1)
			}
			if got := h.get("video", id)["status"]; got != "complete" {
				t.Errorf("then: %v", got)
			}
		})
	}
}

func TestSpreadKeepsTheMedian(t *testing.T) {
	t.Parallel()
	s := New(Options{Spread: 0.5})
	op, _ := operations.Lookup("text-to-video")
	var times []time.Duration
	for range 1001 {
		times = append(times, s.renderTime(&project{op: op}))
	}
	slices.Sort(times)
	if m := times[500]; m < 45*time.Second || m > 57*time.Second || times[1000] < 2*m {
		t.Errorf("median %v, longest %v", m, times[1000])
	}
}

func TestDeterminism(t *testing.T) {
	t.Parallel()
	made := func(seed uint64) (string, string) {
		h := start(t, Options{Seed: seed})
		id, _ := h.finished("face-swap")
		outputs, err := h.Outputs(id)
		if err != nil {
			t.Fatal(err)
		}
		return id, outputs[0].SHA256
	}
	id1, sum1 := made(1)
	again1, againSum1 := made(1)
	id2, sum2 := made(2)
	if id1 != again1 || sum1 != againSum1 {
		t.Error("equal seeds made different projects")
	}
	if id1 == id2 || sum1 == sum2 {
		t.Error("different seeds made equal projects")
	}
	if len(id1) != 25 || id1[0] != 'c' {
		t.Errorf("%q doesn't look like an id", id1)
	}
}
