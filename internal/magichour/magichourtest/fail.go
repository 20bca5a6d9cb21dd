package magichourtest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// fail does what the fault says, and tells whether the request has got all the answer that
// it will get.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, f *Fault) bool {
	switch f.Do {
	case Hang:
		if !s.hold(r.Context(), f.Call, f.Project) {
			panic(http.ErrAbortHandler) // else net/http would answer 200
		}
		return false
	case Delay:
		if !pauseFor(r.Context(), time.Duration(f.Delay)) {
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if f.before() { // else the handler has noted the request
		s.note(Event{Call: f.Call, Project: f.Project, Status: f.Status, Detail: "fault: " + f.String()})
	}
	switch f.Do {
	case Reset:
		reset(w)
	case Garbage:
		writeRaw(w, http.StatusOK, "application/json", `{"id":"c`)
	default:
		f.respond(w)
	}
	return true
}

func (f *Fault) respond(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	shape, code := f.Shape, f.Code
	if code == "" {
		code = errorCodes[f.Status]
	}
	if shape == CodeMessage && (f.Call == Upload || f.Call == Download) {
		shape = XML
	}
	text := http.StatusText(f.Status)
	switch shape {
	case MessageOnly:
		writeJSON(w, f.Status, apiError{Message: text})
	case HTML:
		page := fmt.Sprintf("<html>\r\n<head><title>%d %s</title></head>\r\n<body></body>\r\n</html>\r\n", f.Status, text)
		writeRaw(w, f.Status, "text/html", page)
	case XML:
		refuseMedia(w, f.Status, code)
	case Empty:
		w.WriteHeader(f.Status)
	default:
		writeJSON(w, f.Status, apiError{code, text})
	}
}

func writeRaw(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // nobody is left to tell when the client is gone
}

// reset ends the connection without a word, with RST where it is TCP.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the next best thing
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it, the close is a FIN
	}
	_ = conn.Close()
}

// hold waits for Release, and tells whether the client waited, too. Whoever has seen the
// event can release it: the channel is taken in the same breath.
func (s *Server) hold(ctx context.Context, call Call, project string) bool {
	s.mu.Lock()
	s.record(Event{Call: Held, Project: project, Detail: string(call)})
	released := s.released
	s.mu.Unlock()
	select {
	case <-released:
		return true
	case <-ctx.Done():
		return false
	}
}

// pauseFor waits in real time, and tells whether the client waited, too.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
