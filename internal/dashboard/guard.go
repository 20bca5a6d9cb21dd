package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
)

// A Login is a name and a password, which is read at every request, so that it can be changed.
type Login struct {
	User     string
	Password func() (string, error)
}

// largestBody is far above what a batch of the 100 tasks of a page takes.
const largestBody = 1 << 20

// guard lets in who may see the pages, and nothing that another page of the same browser sends: browsers
// send a password along that they have been told once, whichever page asks.
func guard(pages http.Handler, login *Login) http.Handler {
	sameOrigin := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(pages, largestBody))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Frame-Options", "DENY") // clicks within a frame would count as the dashboard's own
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		switch {
		case login == nil && !IsLoopback((&url.URL{Host: r.Host}).Hostname()):
			// The name of a stranger's page, bound anew to this machine's address.
			http.Error(w, "the dashboard has no password, so it answers only as localhost or 127.0.0.1", http.StatusForbidden)
		case login != nil && !login.admits(r):
			header.Set("WWW-Authenticate", `Basic realm="Hourglass", charset="UTF-8"`)
			http.Error(w, "user and password, please", http.StatusUnauthorized)
		default:
			sameOrigin.ServeHTTP(w, r)
		}
	})
}

// admits compares in a time that tells nothing of how much is right. Without a password that can be read it
// lets nobody in.
func (l *Login) admits(r *http.Request) bool {
	want, err := l.Password()
	user, password, given := r.BasicAuth()
	return err == nil && want != "" && given && equal(user, l.User)&equal(password, want) == 1
}

func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
