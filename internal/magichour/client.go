// Package magichour speaks to the Magic Hour API over HTTP.
//
// Every call is one attempt: the queue is the loop. Answers that say no are an *Error; calls
// without a readable answer are a *TransportError, which says whether the request was written.
// No error holds the key, a header, or the query of a URL.
package magichour

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultBaseURL is where the API is.
const DefaultBaseURL = "https://api.magichour.ai"

// Phase timeouts. The API documents none; its own clients use 60 s and 120 s for a whole call.
const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	answerTimeout = 60 * time.Second // from the request's last byte to the answer's headers
	callTimeout   = 90 * time.Second // a whole call to the API; not to the media host

	maxAnswer = 4 << 20 // bytes; a project with 16 outputs is about 20 kB
)

// Client calls the API. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	key   func() (string, error)
	api   *http.Client // reads and deletes: connections are kept
	buy   *http.Client // creates: each on a connection of its own
	media *http.Client // download URLs: no key
	put   *http.Client // upload URLs: no key, and no redirect, which would turn a PUT into a GET

	// IdleLimit is how long a download or an upload may stand still: a minute from New. It and the
	// pause are fields so that tests need no minutes.
	IdleLimit time.Duration
	pause     time.Duration // firstPause
}

// A Wrap sees every HTTP request of a client, to the API and to the media host: for traces, and
// for faults in tests. It must not repeat requests.
type Wrap func(http.RoundTripper) http.RoundTripper

// New returns a client for the API at baseURL, which may have a path. The key is asked for
// before every call, so that it can be rotated.
func New(baseURL string, key func() (string, error), wraps ...Wrap) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(baseURL, "/"))
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" || base.RawQuery != "" || base.User != nil {
		return nil, errors.New("base URL of the API: want http(s)://host[/path] without user or query")
	}
	files := wrapped(forFiles(transport()), wraps)
	return &Client{
		base: base,
		key:  key,
		api:  &http.Client{Transport: wrapped(transport(), wraps), Timeout: callTimeout, CheckRedirect: stay},
		// The server may close a kept connection just as it is used again. For a purchase
		// that would be an outcome nobody knows, so a create pays for a handshake instead.
		buy:   &http.Client{Transport: wrapped(ownConnections(transport()), wraps), Timeout: callTimeout, CheckRedirect: stay},
		media: &http.Client{Transport: files, CheckRedirect: silently},
		put:   &http.Client{Transport: files, CheckRedirect: stay},

		IdleLimit: idleLimit, pause: firstPause,
	}, nil
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: answerTimeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second,
	}
}

func wrapped(rt http.RoundTripper, wraps []Wrap) http.RoundTripper {
	for _, wrap := range wraps {
		rt = wrap(rt)
	}
	return rt
}

func ownConnections(t *http.Transport) *http.Transport {
	t.DisableKeepAlives = true
	return t
}

// forFiles keeps bytes, length and range as the media host stores them. Each file has a connection of its
// own: in HTTP/2 all would share one, and its window.
func forFiles(t *http.Transport) *http.Transport {
	t.DisableCompression = true
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	return t
}

// silently follows a redirect of a media host without telling the next one where it comes from: that URL
// is signed.
func silently(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	return nil
}

// stay returns a redirect as the answer it is. Following one would turn a POST into a GET, and
// carry the key to another host.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// do makes one call and decodes the answer into out, unless out is nil. It is the only place
// that builds a request to the API.
func (c *Client) do(ctx context.Context, via *http.Client, method, path string, body []byte, out any) error {
	key, err := c.key()
	if err != nil {
		return &TransportError{Method: method, Path: path, Err: fmt.Errorf("%w: %w", ErrNoKey, err)}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return &TransportError{Method: method, Path: path, Err: withoutURL(err)}
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.GetBody = nil // what can't be read again can't be sent again
	resp, err := via.Do(req)
	if err != nil {
		return &TransportError{Method: method, Path: path, Written: true, Err: redactedError(err, key)}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return answerError(method, path, key, resp, data)
	}
	if err == nil && len(data) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if err == nil && out != nil {
		err = json.NewDecoder(bytes.NewReader(data)).Decode(out)
	}
	if err != nil {
		return &TransportError{Method: method, Path: path, Written: true, Err: fmt.Errorf("status %d, but the answer can't be read: %w", resp.StatusCode, redactedError(err, key))}
	}
	return nil
}
