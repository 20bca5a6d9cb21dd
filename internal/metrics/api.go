package metrics

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
)

// API counts the requests of a client of the API at baseURL. A route is named by its template: ids, and signed
// URLs of media, are in no label.
func (m *Metrics) API(baseURL string) magichour.Wrap {
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil {
		base = &url.URL{} // the client refuses it, too
	}
	return func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			began := time.Now()
			resp, err := next.RoundTrip(req)
			route := routeOf(base, req)
			m.requests.WithLabelValues(route, codeOf(resp, err)).Inc()
			if err == nil {
				m.answers.WithLabelValues(route).Observe(time.Since(began).Seconds())
			}
			return resp, err
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// routeOf names the route of a request: of the API by the template of its path, and of a media host by what is
// done there.
func routeOf(base *url.URL, req *http.Request) string {
	path, isAPI := strings.CutPrefix(req.URL.Path, base.Path+"/v1/")
	if !isAPI || req.URL.Host != base.Host {
		switch req.Method {
		case http.MethodGet:
			return "GET media"
		case http.MethodPut:
			return "PUT upload"
		}
		return other
	}
	first, rest, deeper := strings.Cut(path, "/")
	project := deeper && rest != "" && strings.HasSuffix(first, "-projects")
	switch {
	case req.Method == http.MethodGet && path == "account":
		return "GET /v1/account"
	case req.Method == http.MethodPost && path == "files/upload-urls":
		return "POST /v1/files/upload-urls"
	case req.Method == http.MethodPost && !deeper:
		return "POST /v1/{operation}"
	case project && (req.Method == http.MethodGet || req.Method == http.MethodDelete):
		return req.Method + " /v1/{kind}-projects/{id}"
	}
	return other
}

// codeOf is the status of an answer, "canceled" for a request that was called off, and "error" for one without an
// answer.
func codeOf(resp *http.Response, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case err != nil:
		return "error"
	case http.StatusText(resp.StatusCode) == "":
		return other
	}
	return strconv.Itoa(resp.StatusCode)
}
