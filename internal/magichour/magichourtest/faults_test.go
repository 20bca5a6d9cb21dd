package magichourtest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStatusFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                    string
		fault                   Fault
		status                  int
		contentType, body, wait string
	}{
		{"the default", Fault{}, 500, "application/json", `{"code":"internal_server_error","message":"Internal Server Error"}`, ""},
		{"rate limit", Fault{Status: 429, RetryAfter: "7"}, 429, "application/json", `{"code":"too_many_requests","message":"Too Many Requests"}`, "7"},
		{"own code", Fault{Status: 402, Code: "plan_upgrade_required"}, 402, "application/json", `{"code":"plan_upgrade_required","message":"Payment Required"}`, ""},
		{"message only", Fault{Status: 503, Shape: MessageOnly}, 503, "application/json", `{"message":"Service Unavailable"}`, ""},
		{"proxy page", Fault{Status: 502, Shape: HTML}, 502, "text/html", "<html>", ""},
		{"nothing", Fault{Status: 504, Shape: Empty}, 504, "", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{})
			h.lax = true
			h.Inject(test.fault)
			got := h.call("GET", "/v1/account", "")
			if got.StatusCode != test.status || got.Header.Get("Content-Type") != test.contentType ||
				!strings.HasPrefix(string(got.body), test.body) || got.Header.Get("Retry-After") != test.wait {
				t.Errorf("got %v %s", got.Response, got.body)
			}
			if again := h.call("GET", "/v1/account", ""); again.StatusCode != 200 {
				t.Errorf("the next one: %s", again.Status)
			}
		})
	}
}

func TestFaultsAreMatchedInOrder(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id, project := h.finished("face-swap")
	other := h.create("face-swap")
	h.Inject(
		Fault{Call: Poll, Project: other, Status: 429},
		Fault{Call: Poll, Status: 503, Times: 2},
		Fault{Call: Download, Status: 503},
		Fault{Call: Delete, Status: 500, Times: -1},
	)
	path := "/v1/video-projects/" + id
	for i, want := range []int{503, 503, 200} {
		if got := h.call("GET", path, ""); got.StatusCode != want {
			t.Errorf("GET %d: %s, want %d", i, got.Status, want)
		}
	}
	if got := h.call("GET", "/v1/video-projects/"+other, ""); got.StatusCode != 429 {
		t.Errorf("the other: %s", got.Status)
	}
	if got := h.download(urls(project)[0]); got.StatusCode != 503 || !strings.Contains(string(got.body), "<Error>") {
		t.Errorf("download: %s %s", got.Status, got.body)
	}
	for range 3 {
		if got := h.call("DELETE", path, ""); got.StatusCode != 500 {
			t.Errorf("DELETE: %s", got.Status)
		}
	}
	if waiting := h.Faults(); len(waiting) != 1 || waiting[0].Call != Delete {
		t.Errorf("waiting: %v", waiting)
	}
	h.ClearFaults()
	h.must("DELETE", path, "")
	if totals := h.Totals(); totals.Polls != 5 || totals.Deletes != 1 {
		t.Errorf("totals: %+v", totals)
	}
}

// What a create that goes wrong costs.
func TestSpoiledCreates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		fault   Fault
		charged bool
		check   func(answer) bool
	}{
		{"reset before", Fault{Do: Reset}, false, wasReset},
		{"reset after", Fault{Do: Reset, After: true}, true, wasReset},
		{"refused", Fault{Status: 502}, false, func(a answer) bool { return a.StatusCode == 502 }},
		{"charged and 504", Fault{Status: 504, After: true}, true, func(a answer) bool { return a.StatusCode == 504 }},
		{"unreadable", Fault{Do: Garbage}, true, func(a answer) bool { return a.StatusCode == 200 && string(a.body) == `{"id":"c` }},
		{"slow", Fault{Do: Delay, Delay: Duration(time.Millisecond)}, true, func(a answer) bool { return a.StatusCode == 200 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{})
			test.fault.Call = Create
			h.Inject(test.fault)
			got := h.do("POST", h.URL()+"/v1/face-swap", minimal(t, "face-swap"), "Authorization", "Bearer "+key)
			if !test.check(got) {
				t.Errorf("got %v %s %v", got.Response, got.body, got.err)
			}
			want := 0
			if test.charged {
				want = 1
			}
			if creates := h.Totals().Creates; creates != want {
				t.Errorf("%d charged, want %d", creates, want)
			}
		})
	}
}

func wasReset(a answer) bool { return errors.Is(a.err, syscall.ECONNRESET) }

func TestHang(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		h := start(t, Options{})
		h.Inject(Fault{Call: Create, Do: Hang, After: after})
		done := make(chan answer)
		go func() { done <- h.call("POST", "/v1/face-swap", minimal(t, "face-swap")) }()
		h.await(Held)
		if charged := h.Totals().Creates == 1; charged != after {
			t.Errorf("after=%v, but charged=%v while it hangs", after, charged)
		}
		h.Release()
		if got := <-done; got.StatusCode != 200 {
			t.Errorf("after=%v: %v %v", after, got.Response, got.err)
		}
	}
}

func TestHangEndsWhenTheClientGoes(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	h.Inject(Fault{Do: Hang})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", h.URL()+"/v1/face-swap", strings.NewReader(minimal(t, "face-swap")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		resp, err := h.client.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	h.await(Held)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	h.Close() // and comes back, although the request was never released
}

func TestInjectRefusesTypos(t *testing.T) {
	t.Parallel()
	for _, f := range []Fault{{Call: "get"}, {Do: "explode"}, {Shape: "round"}, {Status: 99}, {Call: Webhook}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", f)
				}
			}()
			New(Options{}).Inject(f)
		}()
	}
}
