package magichourtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
)

// control calls a control route, without a key.
func (h *harness) control(method, path, body string) answer {
	h.t.Helper()
	got := h.do(method, h.api+"/_fake/"+path, body)
	if got.err != nil {
		h.t.Fatal(got.err)
	}
	return got
}

func (h *harness) read(path string, into any) {
	h.t.Helper()
	got := h.control("GET", path, "")
	if err := json.Unmarshal(got.body, into); err != nil || got.StatusCode != 200 {
		h.t.Fatalf("%s: %s %s", path, got.Status, got.body)
	}
}

func TestControlReads(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id, _ := h.finished("ai-image-generator", `"image_count":2`)
	var ledger Ledger
	h.read("ledger?since=1", &ledger)
	if len(ledger.Events) != 1 || ledger.Events[0].Call != Poll || ledger.Totals.Creates != 1 {
		t.Errorf("ledger: %+v", ledger)
	}
	var totals Totals
	h.read("totals", &totals)
	if totals != ledger.Totals {
		t.Errorf("totals: %+v", totals)
	}
	var projects []Project
	h.read("projects", &projects)
	var project Project
	h.read("projects/"+id, &project)
	if len(projects) != 1 || projects[0].ID != id || project.Status != "complete" || !strings.Contains(string(project.Request), `"image_count":2`) {
		t.Errorf("projects: %+v", projects)
	}
	var outputs []Output
	h.read("projects/"+id+"/outputs", &outputs)
	for i, n := range []string{"1", "2"} {
		got := h.control("GET", "projects/"+id+"/outputs/"+n, "")
		if sum := sha256.Sum256(got.body); hex.EncodeToString(sum[:]) != outputs[i].SHA256 || int64(len(got.body)) != outputs[i].Size {
			t.Errorf("output %s is not %+v", n, outputs[i])
		}
	}
	_, path := h.uploadURL("image", "png")
	for _, missing := range []string{"projects/x", "projects/x/outputs", "projects/x/outputs/1", "projects/" + id + "/outputs/3", "uploads?file_path=" + path, "nothing"} {
		if got := h.control("GET", missing, ""); got.StatusCode != 404 {
			t.Errorf("%s: %s", missing, got.Status)
		}
	}
}

func TestControlWrites(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id := h.create("face-swap")
	tests := []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "projects/" + id + "/behavior", `{"error":"mine","render":"1ns"}`, 204},
		{"PUT", "projects/nope/behavior", `{}`, 400},
		{"PUT", "projects/" + id + "/behavior", `{"eror":"x"}`, 400},
		{"PUT", "behavior", `{"error":"default"}`, 204},
		{"PUT", "behavior", `{"body":"x"}`, 400},
		{"POST", "behaviors", `[{"error":"script"}]`, 204},
		{"POST", "behaviors", `[{"deleted_as":"x"}]`, 400},
		{"POST", "faults", `{"call":"account","status":503}`, 204},
		{"POST", "faults", `[{"call":"account","status":429,"retry_after":"3","times":2}]`, 204},
		{"POST", "faults", `{"call":"acount"}`, 400},
		{"POST", "faults", `nonsense`, 400},
		{"POST", "release", ``, 204},
		{"PUT", "credits", `{"credits":77}`, 204},
		{"PUT", "webhooks", `{"url":"http://127.0.0.1:1"}`, 204},
		{"POST", "deliver", ``, 200},
	}
	for _, test := range tests {
		if got := h.control(test.method, test.path, test.body); got.StatusCode != test.status {
			t.Errorf("%s %s %s: %s %s", test.method, test.path, test.body, got.Status, got.body)
		}
	}
	if waiting := h.Faults(); len(waiting) != 2 || waiting[1].RetryAfter != "3" || waiting[1].Times != 2 {
		t.Errorf("faults: %+v", waiting)
	}
	h.control("DELETE", "faults", "")
	if got := h.must("GET", "/v1/account", "")["credits"]; got != 77.0 {
		t.Errorf("credits: %v", got)
	}
	h.clock.advance(1)
	if code := codeOf(h.get("video", id)); code != "mine" {
		t.Errorf("behavior of the project: %v", code)
	}
	for _, want := range []string{"script", "default"} {
		if _, project := h.finished("face-swap"); codeOf(project) != want {
			t.Errorf("got %v, want %s", codeOf(project), want)
		}
	}
	h.control("PUT", "key", `{"revoked":true}`)
	if got := h.call("GET", "/v1/account", ""); got.StatusCode != 401 {
		t.Errorf("revoked: %s", got.Status)
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	h := start(t, Options{BasePath: "/v1/mock/"})
	if !strings.HasSuffix(h.URL(), "/v1/mock") {
		t.Errorf("URL %s", h.URL())
	}
	if got := h.do("GET", h.URL()+"/v1/account", "", "Authorization", "Bearer "+key); got.StatusCode != 200 {
		t.Errorf("below it: %s", got.Status)
	}
	if got := h.call("GET", "/v1/account", ""); got.StatusCode != 404 {
		t.Errorf("without it: %s", got.Status)
	}
	if got := h.control("GET", "totals", ""); got.StatusCode != 200 {
		t.Errorf("control: %s", got.Status)
	}
}
