package httpapi

import (
	"net"
	"net/http"
	"strings"
)

// Local lets in who speaks to a server without tokens from the same machine, and keeps out what a browser there is led
// to do by a page from elsewhere: by a form of another site, or under a name that leads to this machine.
func Local(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			write(w, problem{Status: http.StatusMisdirectedRequest, Code: "misdirected", Detail: "a server without tokens answers under a loopback address alone, such as 127.0.0.1: serve with a file of tokens for other names"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
