package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestFront: what is for those who run the worker is not where webhooks come, if these have an address of their own,
// and profiles are only on this machine unless told.
func TestFront(t *testing.T) {
	t.Parallel()
	const event, look, profile = "POST /webhooks/magichour", "GET /metrics", "GET /debug/pprof/goroutine"
	const yes, no = http.StatusTeapot, http.StatusNotFound
	tests := []struct {
		name            string
		config          config
		admin, webhooks map[string]int
	}{
		{"one address", config{httpAddr: "127.0.0.1:0"}, map[string]int{event: yes, look: yes, profile: http.StatusOK}, nil},
		{"two", config{httpAddr: "127.0.0.1:0", webhookAddr: "127.0.0.1:0"}, map[string]int{event: no, look: yes, profile: http.StatusOK}, map[string]int{event: yes, look: no, profile: no, "GET /webhooks/magichour": http.StatusMethodNotAllowed}},
		{"one address, and webhooks come in through a proxy", config{httpAddr: "127.0.0.1:0", webhookSecrets: readWebhookSecrets}, map[string]int{event: yes, look: yes, profile: no}, nil},
		{"two, and webhooks come in through a proxy", config{httpAddr: "127.0.0.1:0", webhookAddr: "127.0.0.1:0", webhookSecrets: readWebhookSecrets}, map[string]int{profile: http.StatusOK}, map[string]int{event: yes, profile: no}},
		{"open to all", config{httpAddr: ":0"}, map[string]int{event: yes, look: yes, profile: no}, nil},
		{"open to all, profiles as well", config{httpAddr: ":0", pprof: true}, map[string]int{look: yes, profile: http.StatusOK, "GET /debug/pprof/profile?seconds=1": http.StatusOK, "GET /debug/pprof/cmdline": no}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := listen(t.Context(), tt.config, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer f.close()
			teapot := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }
			f.admin.HandleFunc("GET /metrics", teapot)
			f.webhooks.HandleFunc("POST "+webhookPath, teapot)
			f.serve()
			for addr, wants := range map[string]map[string]int{f.addr: tt.admin, f.webhookAddr: tt.webhooks} {
				for request, want := range wants {
					if got := status(t, request, addr); got != want {
						t.Errorf("%s at %s: got %d, want %d", request, addr, got, want)
					}
				}
			}
		})
	}
}

// status is that of the answer to a request such as "GET /path".
func status(t *testing.T, request, addr string) int {
	t.Helper()
	addr, err := reachable(addr)
	if err != nil {
		t.Fatal(err)
	}
	method, path, _ := strings.Cut(request, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestSecondAddressIsTaken: the first one is given back.
func TestSecondAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, err = listen(t.Context(), config{httpAddr: "127.0.0.1:0", webhookAddr: taken.Addr().String()}, slog.New(slog.DiscardHandler))
	if err == nil || exitCode(err, io.Discard) != 1 || !strings.Contains(err.Error(), varWebhookAddr) {
		t.Errorf("got %v, want an error that names %s", err, varWebhookAddr)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	tests := []struct{ addr, want string }{
		{"127.0.0.1:8420", "127.0.0.1:8420"},
		{":8420", "127.0.0.1:8420"},
		{"0.0.0.0:8420", "127.0.0.1:8420"},
		{"[::]:8420", "[::1]:8420"},
		{"10.0.0.7:8420", "10.0.0.7:8420"},
		{"127.0.0.1:0", ""},
		{"localhost", ""},
	}
	for _, tt := range tests {
		got, err := reachable(tt.addr)
		if got != tt.want || (err == nil) != (tt.want != "") || err != nil && exitCode(err, io.Discard) != 2 {
			t.Errorf("%q: got %q, %v; want %q", tt.addr, got, err, tt.want)
		}
	}
}

// TestHealthcheckOfStrangers: what is no worker is not well, whatever it answers.
func TestHealthcheckOfStrangers(t *testing.T) {
	t.Parallel()
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	defer stranger.Close()
	for _, url := range []string{stranger.URL, gone.URL} {
		err := run(t.Context(), []string{"worker", "healthcheck", "--http-addr", strings.TrimPrefix(url, "http://")}, io.Discard, io.Discard)
		if exitCode(err, io.Discard) != 1 || !strings.HasSuffix(err.Error(), "?") {
			t.Errorf("got %v, want exit 1 and a question that helps", err)
		}
	}
}
