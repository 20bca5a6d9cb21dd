package dashboard

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestGuardWithoutPassword: other web pages, which the user may have open in the same browser, stay out.
func TestGuardWithoutPassword(t *testing.T) {
	t.Parallel()
	guarded := guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
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

func TestLogin(t *testing.T) {
	t.Parallel()
	const right = "correct horse"
	tests := []struct {
		name, method, user, password, site string
		stored                             string
		err                                error
		want                               int
	}{
		{"right", "GET", "ops", right, "", right, nil, 200},
		{"none given", "GET", "", "", "", right, nil, 401},
		{"wrong password", "GET", "ops", "correct horsf", "", right, nil, 401},
		{"wrong user", "GET", "root", right, "", right, nil, 401},
		{"longer", "GET", "ops", right + "x", "", right, nil, 401},
		{"empty, and none can be read", "GET", "ops", "", "", "", errors.New("no such file"), 401},
		{"empty, and the file is empty", "GET", "ops", "", "", "", nil, 401},
		{"a command of its own page", "POST", "ops", right, "same-origin", right, nil, 200},
		{"a command of another page, which the browser sends the password along with", "POST", "ops", right, "cross-site", right, nil, 403},
		{"a page of the same site", "DELETE", "ops", right, "same-site", right, nil, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reached := false
			guarded := guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }),
				&Login{User: "ops", Password: func() (string, error) { return tt.stored, tt.err }})
			r := httptest.NewRequestWithContext(t.Context(), tt.method, "/api/queues", nil)
			r.Host = "dashboard.example.com"
			if tt.user != "" {
				r.SetBasicAuth(tt.user, tt.password)
			}
			if tt.site != "" {
				r.Header.Set("Sec-Fetch-Site", tt.site)
			}
			w := httptest.NewRecorder()
			guarded.ServeHTTP(w, r)
			if w.Code != tt.want || reached != (tt.want == 200) {
				t.Errorf("got %d, reached the pages %v; want %d", w.Code, reached, tt.want)
			}
			if asks := w.Header().Get("WWW-Authenticate") != ""; asks != (tt.want == 401) {
				t.Errorf("asks for a password: %v", asks)
			}
		})
	}
}
