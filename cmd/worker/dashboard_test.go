package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDashboardRefusesToStart: without a password, but for this machine alone, or with a poor one.
func TestDashboardRefusesToStart(t *testing.T) {
	tests := []struct {
		name, password, says string
		args                 []string
	}{
		{"no password", "", "HOURGLASS_DASHBOARD_PASSWORD", nil},
		{"no password, and others can reach it", "", "HOURGLASS_DASHBOARD_PASSWORD", []string{"--addr", ":0"}},
		{"on purpose, and others can reach it", "", "--without-password", []string{"--without-password", "--addr", "0.0.0.0:0"}},
		{"on purpose, at a name that others may know", "", "--without-password", []string{"--without-password", "--addr", "dashboard.example.com:0"}},
		{"a password that can be guessed", "canary", "at least 12", nil},
		{"no port", "canary-long-enough", "--addr", []string{"--addr", "localhost"}},
		{"no Prometheus", "canary-long-enough", "--prometheus-url", []string{"--prometheus-url", "prometheus:9090"}},
		{"a password of Prometheus, which the page would show", "canary-long-enough", "--prometheus-url", []string{"--prometheus-url", "http://ada:canary@prometheus:9090"}},
		{"no Redis", "canary-long-enough", "REDIS_URL", []string{"--redis-url", "http://:canary@host"}},
		{"an argument", "canary-long-enough", "unexpected", []string{"now"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("HOURGLASS_DASHBOARD_PASSWORD", tt.password)
			err := run(t.Context(), append([]string{"worker", "dashboard"}, tt.args...), io.Discard, io.Discard)
			if code := exitCode(err, io.Discard); code != 2 || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("exit %d: %v; want 2 and %s", code, err, tt.says)
			}
		})
	}
}

// TestDashboardAsksForThePassword: the one that stands in the file now.
func TestDashboardAsksForThePassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first password")
	t.Setenv("HOURGLASS_DASHBOARD_PASSWORD_FILE", path)
	ctx, cancel := context.WithCancel(t.Context())
	said, ended := make(lines, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"worker", "dashboard", "--addr", "127.0.0.1:0", "--redis-url", "redis://127.0.0.1:1/0"}, said, io.Discard)
	}()
	line := said.find(t, "dashboard, read-only: ")
	url := strings.TrimSpace(line[strings.Index(line, "http://"):])
	status := func(password string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("hourglass", password)
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	if got := status("first password"); got != 200 {
		t.Errorf("the password: got %d", got)
	}
	write("second password")
	if first, second := status("first password"), status("second password"); first != 401 || second != 200 {
		t.Errorf("after it was changed: the first %d, the second %d", first, second)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
