package storage

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// exchange sends 32 MiB, more than all buffers on the way hold, and reads the answer.
func exchange(t *testing.T, idle time.Duration, handle http.HandlerFunc) error {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	transport := &http.Transport{DialContext: straight(new(net.Dialer).DialContext, idle)}
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, bytes.NewReader(make([]byte, 32*mib)))
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// A store that stops is left, whatever it stops in the middle of.
func TestStandstill(t *testing.T) {
	t.Parallel()
	tests := map[string]func(w http.ResponseWriter, r *http.Request){
		"it takes no more": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, mib)
		},
		"it sends no more": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "the beginning")
			_ = http.NewResponseController(w).Flush()
		},
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			defer close(over)
			err := exchange(t, 100*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
				begin(w, r)
				<-over
			})
			if err == nil { // which of the two directions notices first differs
				t.Error("got an answer")
			}
		})
	}
}

// A store that takes its time, but goes on, is not: while it is written to, nobody has anything to read.
func TestSlowIsNoStandstill(t *testing.T) {
	t.Parallel()
	const idle, pieces = 2 * time.Second, 64
	tick := time.NewTicker(2 * idle / pieces)
	defer tick.Stop()
	err := exchange(t, idle, func(w http.ResponseWriter, r *http.Request) {
		for range pieces {
			_, _ = io.CopyN(io.Discard, r.Body, 32*mib/pieces)
			<-tick.C
		}
		_, _ = io.WriteString(w, "thanks")
	})
	if err != nil {
		t.Error(err)
	}
}
