package magichour

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Error is an answer that says no. It holds neither the request nor its headers, so printing
// one can't print the key.
type Error struct {
	Method, Path string
	Status       int           // HTTP status
	Code         string        // the API's error code; empty where it sent none
	Message      string        // the API's own words, redacted; the status text where it sent none
	RetryAfter   time.Duration // from the Retry-After header; 0 if it sent none
}

// Error names the call, the status and the API's own words.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %d", e.Method, e.Path, e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	return text + ": " + e.Message
}

// ErrNoKey says that there is no key to call the API with: its file is missing or empty.
var ErrNoKey = errors.New("no API key")

// TransportError is a call that brought no readable answer.
type TransportError struct {
	Method, Path string
	Written      bool // false: provably not a byte of the request's body has left
	Err          error
}

// Error names the call and what went wrong.
func (e *TransportError) Error() string {
	return fmt.Sprintf("%s %s: %v", e.Method, e.Path, e.Err)
}

// Unwrap returns what went wrong.
func (e *TransportError) Unwrap() error { return e.Err }

const longestMessage = 500 // characters of the API's words that are kept

// answerError reads an answer that says no: {code,message}, {message}, or something that is no
// JSON at all, as a proxy in between sends it.
func answerError(method, path, key string, resp *http.Response, data []byte) *Error {
	e := &Error{Method: method, Path: path, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	var body struct{ Code, Message string }
	if json.Unmarshal(data, &body) == nil {
		e.Code = clip(Redact(body.Code, key))
		e.Message = clip(Redact(body.Message, key))
	}
	if e.Message == "" {
		e.Message = http.StatusText(resp.StatusCode)
	}
	return e
}

func clip(s string) string {
	if r := []rune(s); len(r) > longestMessage {
		return string(r[:longestMessage]) + "…"
	}
	return s
}

// longestRetryAfter is the longest wait that is taken from an answer: asking once more in a
// quarter of an hour harms nobody.
const longestRetryAfter = 15 * time.Minute

// retryAfter reads both forms of the header: seconds, or a date.
func retryAfter(v string) time.Duration {
	if s, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && s > 0 {
		return min(longestRetryAfter, time.Duration(min(s, 3600))*time.Second)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(longestRetryAfter, max(0, time.Until(at)))
	}
	return 0
}

// secretsInURL finds the user and the query of a URL, also of one whose slashes JSON has escaped.
var secretsInURL = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*:(?:\\?/){2})([^\s/?#"'<>]*@)?([^\s?#"'<>]*)([?#][^\s"'<>]*)?`)

// Redact takes out of a text what must not be shown: the given secrets, and the user and query
// of every URL, where passwords and signatures are.
func Redact(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return secretsInURL.ReplaceAllStringFunc(text, func(found string) string {
		part := secretsInURL.FindStringSubmatch(found)
		shown := part[1] + part[3]
		if part[4] != "" {
			shown += "?[redacted]"
		}
		return shown
	})
}

// redactedError keeps the chain of an error, for errors.Is, and replaces its words if they hold
// something secret.
func redactedError(err error, secrets ...string) error {
	err = withoutURL(err)
	text := err.Error()
	shown := Redact(text, secrets...)
	if strings.Contains(text, "Location header") { // net/http repeats it as it came, signature and all
		shown = "a redirect that can't be read"
	}
	if shown != text {
		return &redacted{text: shown, err: err}
	}
	return err
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string { return r.text }

// Is passes on to the error whose words are hidden. There is no Unwrap, by which those words
// could come out again.
func (r *redacted) Is(target error) bool { return errors.Is(r.err, target) }

// withoutURL drops the URL that net/http puts into its errors.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
