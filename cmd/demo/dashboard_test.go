package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	guarded := guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	tests := []struct {
		name, method, host string
		header             http.Header
		want               int
	}{
		{"by address", "GET", "127.0.0.1:8080", nil, 200},
		{"by name", "GET", "localhost:8080", nil, 200},
		{"IPv6", "GET", "[::1]:8080", nil, 200},
		{"another name of this machine", "GET", "rebound.example.com:8080", nil, 403},
		{"looks like localhost", "GET", "localhost.example.com", nil, 403},
		{"no host", "GET", "", nil, 403},
		{"a command of its own page", "POST", "127.0.0.1:8080", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
		{"a command of curl", "POST", "127.0.0.1:8080", nil, 200},
		{"a command of another page", "POST", "127.0.0.1:8080", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"the same in an old browser", "POST", "127.0.0.1:8080", http.Header{"Origin": {"https://example.com"}}, 403},
	}
	for _, tt := range tests {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "/api/queues", nil)
		r.Host, r.Header = tt.host, tt.header
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}
