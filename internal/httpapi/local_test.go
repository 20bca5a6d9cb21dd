package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestLocal: a server without tokens answers nobody who comes by way of a browser from elsewhere.
func TestLocal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, host, site string
		want                     int
	}{
		{"a program", "POST", "127.0.0.1:8424", "", 200},
		{"a program by name", "POST", "localhost:8424", "", 200},
		{"a program over IPv6", "GET", "[::1]:8424", "", 200},
		{"without a port", "GET", "[::1]", "", 200},
		{"a page of its own", "POST", "127.0.0.1:8424", "same-origin", 200},
		{"a form of another site", "POST", "127.0.0.1:8424", "cross-site", 403},
		{"a name that leads here", "GET", "evil.example:8424", "same-origin", 421},
		{"a name that begins alike", "GET", "localhost.evil.example", "", 421},
		{"an address of the network", "GET", "192.168.0.7:8424", "", 421},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "http://"+tt.host+"/v1/jobs", http.NoBody)
		if tt.site != "" {
			r.Header.Set("Sec-Fetch-Site", tt.site)
		}
		w := httptest.NewRecorder()
		Local(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}
