// Package callback tells other services by HTTP: it posts a text, signed as https://www.standardwebhooks.com has it, to
// an address that a stranger may have named, and takes care where that leads.
package callback

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrRefused says that an address leads where nothing may be sent. To try again does not help.
	ErrRefused = errors.New("not an address that callbacks may go to")

	// ErrGone says that the receiver wants nothing any more: it has answered 410.
	ErrGone = errors.New("the receiver has answered 410 Gone")

	// ErrNoSecret says that there is nothing to sign with.
	ErrNoSecret = errors.New("nothing to sign callbacks with: set HOURGLASS_CALLBACK_SECRET")
)

// An Answer is one of the receiver that is neither 2xx nor 410.
type Answer struct {
	Status     int
	RetryAfter time.Duration // 0 if it says none
}

// Error implements error.
func (a *Answer) Error() string {
	if a.Status >= 300 && a.Status < 400 {
		return fmt.Sprintf("the receiver has answered %d: redirects are not followed", a.Status)
	}
	return fmt.Sprintf("the receiver has answered %d", a.Status)
}

const (
	within        = 15 * time.Second // a whole call
	readAtMost    = 64 << 10         // of an answer, so that its connection can be used again
	idlePerHost   = 2
	idleAtMost    = 64
	leastSecret   = 24 // bytes, as Standard Webhooks has it
	longestSecret = 64
)

// A Sender posts. It is safe for concurrent use.
type Sender struct {
	secrets func() (string, error)
	client  *http.Client
	agent   string
}

// New returns a sender. Secrets is asked at every call, for a list as ParseSecrets takes; allow is what ParseAllow has
// read; agent is the User-Agent.
func New(secrets func() (string, error), allow Allow, agent string) *Sender {
	dialer := &net.Dialer{Timeout: within, KeepAlive: 30 * time.Second}
	return &Sender{secrets: secrets, agent: agent, client: &http.Client{
		Timeout: within,
		Transport: &http.Transport{
			Proxy: nil, // one would lead where the guard does not look
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				d := *dialer
				d.ControlContext = allow.guard(addr)
				return d.DialContext(ctx, network, addr)
			},
			MaxIdleConns: idleAtMost, MaxIdleConnsPerHost: idlePerHost, IdleConnTimeout: time.Minute,
			TLSHandshakeTimeout: within, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 8 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close gives up idle connections.
func (s *Sender) Close() { s.client.CloseIdleConnections() }

// Send posts JSON to a URL. The same id at every try lets the receiver tell a repetition. Errors are ErrRefused, ErrGone,
// ErrNoSecret, an *Answer, and what the network said; none holds more of the URL than its host. May be repeated.
//
// Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
func (s *Sender) Send(ctx context.Context, target, id string, body []byte, now time.Time) error {
	list, err := s.secrets()
	if err != nil {
		return err
	}
	secrets, err := ParseSecrets(list)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return ErrRefused
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", s.agent)
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", stamp)
	r.Header.Set("Webhook-Signature", Sign(secrets, id, stamp, body))
	answer, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("post to %s: %w", r.URL.Host, plain(err))
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, readAtMost))
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return nil
	case answer.StatusCode == http.StatusGone:
		return ErrGone
	}
	return &Answer{answer.StatusCode, retryAfter(answer.Header.Get("Retry-After"), now)}
}

// plain leaves out of an error of the network what a stranger must not learn: the rest of the URL, and what its name
// leads to in here.
func plain(err error) error {
	var whole *url.Error
	var op *net.OpError
	var unknown *net.DNSError
	switch {
	case errors.Is(err, ErrRefused):
		return fmt.Errorf("%w: it is not a public one; if it is meant, name it in HOURGLASS_CALLBACK_ALLOW", ErrRefused)
	case errors.As(err, &unknown):
		return errors.New("its name can't be resolved")
	case errors.As(err, &op):
		return op.Err
	case errors.As(err, &whole) && strings.Contains(whole.Err.Error(), "Location"):
		return errors.New("it redirects, which is not followed")
	case errors.As(err, &whole):
		return whole.Err
	}
	return err
}

func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1e6)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// Sign returns the header of a message: a signature by each secret.
func Sign(secrets [][]byte, id, stamp string, body []byte) string {
	var all []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// ParseSecrets reads one secret, or several with commas while they are rotated: whsec_ and base64 of 24 to 64 bytes. The
// error holds none of it.
func ParseSecrets(list string) ([][]byte, error) {
	if list == "" {
		return nil, ErrNoSecret
	}
	var secrets [][]byte
	for text := range strings.SplitSeq(list, ",") {
		encoded, found := strings.CutPrefix(strings.TrimSpace(text), "whsec_")
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !found || err != nil || len(secret) < leastSecret || len(secret) > longestSecret {
			return nil, fmt.Errorf("want whsec_ and base64 of %d to %d bytes, such as: echo whsec_$(openssl rand -base64 32)", leastSecret, longestSecret)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
