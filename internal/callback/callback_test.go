package callback

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// TestVector is that of the reference implementations of Standard Webhooks.
func TestVector(t *testing.T) {
	t.Parallel()
	secrets, err := ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	got := Sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	both, err := ParseSecrets(secret + ", whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24)))
	if err != nil || len(strings.Fields(Sign(both, "a", "1", nil))) != 2 {
		t.Errorf("two secrets during a rotation: got %d signatures, %v", len(strings.Fields(Sign(both, "a", "1", nil))), err)
	}
	for _, bad := range []string{"", "x", "whsec_", "whsec_c2hvcnQ=", "whsec_" + strings.Repeat("A", 100), secret + ","} {
		if _, err := ParseSecrets(bad); err == nil || bad != "" && strings.Contains(err.Error(), "c2hvcnQ") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func sender(t *testing.T, allow string) *Sender {
	t.Helper()
	a, err := ParseAllow(allow)
	if err != nil {
		t.Fatal(err)
	}
	s := New(func() (string, error) { return secret, nil }, a, "hourglass/test")
	t.Cleanup(s.Close)
	return s
}

// TestAnswers: what a receiver may answer, and what is made of it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var seen []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.Header.Get("Webhook-Id")+" "+string(body)+" "+r.Header.Get("Webhook-Timestamp")+" "+r.Header.Get("Webhook-Signature"))
		switch r.URL.Path {
		case "/busy":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/elsewhere":
			http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer receiver.Close()
	s := sender(t, "127.0.0.1")
	now := time.Unix(1614265330, 0)
	send := func(path string) error {
		return s.Send(t.Context(), receiver.URL+path+"?token=hidden", "msg_1", []byte("{}"), now)
	}
	if err := send("/"); err != nil {
		t.Errorf("taken: got %v", err)
	}
	if err := send("/endless"); err != nil {
		t.Errorf("an answer without an end: got %v", err)
	}
	var answer *Answer
	if err := send("/busy"); !errors.As(err, &answer) || answer.RetryAfter != 2*time.Minute {
		t.Errorf("busy: got %v", err)
	}
	if err := send("/elsewhere"); !errors.As(err, &answer) || answer.Status != 307 || !strings.Contains(err.Error(), "not followed") {
		t.Errorf("elsewhere: got %v", err)
	}
	if err := send("/gone"); !errors.Is(err, ErrGone) {
		t.Errorf("gone: got %v", err)
	}
	if len(seen) != 5 {
		t.Errorf("%d calls: a redirect was followed, or a call repeated", len(seen))
	}
	if want := "msg_1 {} 1614265330 v1,"; len(seen) > 0 && !strings.HasPrefix(seen[0], want) {
		t.Errorf("got %s, want %s…", seen[0], want)
	}
	receiver.Close()
	if err := send("/"); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("nobody there: got %v", err)
	}
}

// TestHanging: who does not answer is left.
func TestHanging(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer receiver.Close()
	defer close(release)
	s := sender(t, "127.0.0.0/8")
	s.client.Timeout = 50 * time.Millisecond
	if err := s.Send(t.Context(), receiver.URL, "msg_1", nil, time.Now()); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// TestGuard: nothing is sent where a stranger must not lead it, by whatever name.
func TestGuard(t *testing.T) {
	t.Parallel()
	called := false
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer receiver.Close()
	port := receiver.URL[strings.LastIndex(receiver.URL, ":"):]
	for _, target := range []string{receiver.URL, "http://localhost" + port, "http://[::1]" + port, "http://[::ffff:127.0.0.1]" + port, "http://0.0.0.0" + port, "http://2130706433" + port, "http://127.1" + port} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := sender(t, "").Send(ctx, target, "msg_1", nil, time.Now()); err == nil || called {
			t.Errorf("%s: got %v, called %v", target, err, called)
		}
		cancel()
	}
	if err := sender(t, "").Send(t.Context(), receiver.URL, "msg_1", nil, time.Now()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "HOURGLASS_CALLBACK_ALLOW") || strings.Contains(err.Error(), "dial") {
		t.Errorf("got %v, want ErrRefused with what to do", err)
	}
	for _, allow := range []string{"127.0.0.1", "127.0.0.0/8", "10.0.0.0/8, 127.0.0.1/32"} {
		if err := sender(t, allow).Send(t.Context(), receiver.URL, "msg_1", nil, time.Now()); err != nil {
			t.Errorf("allowed by %s: got %v", allow, err)
		}
	}
	for _, allow := range []string{"localhost", "localhost" + port} {
		if err := sender(t, allow).Send(t.Context(), "http://LOCALHOST"+port, "msg_1", nil, time.Now()); err != nil {
			t.Errorf("allowed by %s: got %v", allow, err)
		}
	}
	if err := sender(t, "localhost:1").Send(t.Context(), "http://localhost"+port, "msg_1", nil, time.Now()); !errors.Is(err, ErrRefused) {
		t.Errorf("another port: got %v", err)
	}
	for _, bad := range []string{"http://x/y", "*.internal", "localhost:x", "::ffff:10.0.0.0/104"} {
		if _, err := ParseAllow(bad); err == nil {
			t.Errorf("%s among the networks: want an error", bad)
		}
	}
}

func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700::1111": true, "100.63.255.255": true, "100.128.0.0": true, "172.32.0.1": true,
		"127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false, "240.0.0.1": false, "198.18.0.1": false,
		"192.0.2.1": false, "198.51.100.1": false, "203.0.113.1": false, "192.0.0.170": false,
		"::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd12::1": false, "ff02::1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::a00:1": false, "2002:a00:1::": false, "2001::1": false, "2001:db8::1": false, "fec0::1": false, "fe80::1%eth0": false,
		"168.63.129.16": false, "::7f00:1": false, "::ffff:0:a9fe:a9fe": false, "4000::1": false, "64:ff9b:2::7f00:1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
