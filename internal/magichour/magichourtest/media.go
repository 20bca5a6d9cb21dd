package magichourtest

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"time"
)

// serveMedia is the media host: files for GET, uploads for PUT, each with a signed URL.
func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) {
	call := Download
	switch r.Method {
	case http.MethodGet:
	case http.MethodPut:
		call = Upload
	default:
		refuseMedia(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
		return
	}
	s.mu.Lock()
	id := s.projectAt(r.URL.Path)
	s.mu.Unlock()
	fault := s.takeFault(call, id)
	if fault.before() && s.fail(w, r, fault) {
		return
	}
	if !s.admit(w, r, call, id) {
		return
	}
	if fault.after() && call == Download { // nothing takes effect: it is the same as before
		if s.fail(w, r, fault) {
			return
		}
	}
	if call == Upload {
		s.storeUpload(w, r, fault)
		return
	}
	s.sendFile(w, r, id)
}

// projectAt is the id of the project that a path belongs to, if it does.
func (s *Server) projectAt(path string) string {
	if p, ok := s.owner(path); ok {
		return p.id
	}
	return ""
}

// admit checks the signature, and that there is no other credential.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, call Call, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		s.record(Event{Call: Violation, Project: id, Status: http.StatusBadRequest, Detail: "Authorization header sent to the media host"})
		refuseMedia(w, http.StatusBadRequest, "InvalidArgument: Only one auth mechanism allowed")
		return false
	}
	err := s.verify(r)
	if err == nil {
		return true
	}
	event := Event{Call: call, Project: id, Status: http.StatusForbidden, Detail: err.Error() + ": " + r.URL.Path}
	if errors.Is(err, errAltered) {
		event.Call = Violation
	}
	s.record(event)
	refuseMedia(w, http.StatusForbidden, err.Error())
	return false
}

// sendFile sends an output. The ledger notes its beginning: the end would be noted after
// the client has it, and so perhaps after the client's next call.
func (s *Server) sendFile(w http.ResponseWriter, r *http.Request, id string) {
	path := r.URL.Path
	file, behavior := s.beginDownload(r)
	if file == nil {
		refuseMedia(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		refuseMedia(w, http.StatusInternalServerError, "InternalError")
		return
	}
	w.Header().Set("Content-Type", contentType(path))
	tag := s.digest(append([]string{"etag", path, fmt.Sprint(size)}, editionOf(behavior.Edition)...)...)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, tag[:16]))
	s.options.Log.Debug("media", "path", path, "size", size)
	http.ServeContent(s.spoil(w, r, id, behavior), r, path, time.Time{}, file)
}

// beginDownload returns the file and how to send it; no file if there is none any more.
func (s *Server) beginDownload(r *http.Request) (io.ReadSeeker, Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.URL.Path
	p, ok := s.owner(path)
	if !ok || p.deleted {
		s.record(Event{Call: Download, Status: http.StatusNotFound, Detail: path})
		return nil, Behavior{}
	}
	status := http.StatusOK
	if r.Header.Get("Range") != "" {
		status = http.StatusPartialContent
	}
	behavior := p.behavior
	if behavior.Body != "" {
		p.spoiled++
		if behavior.BodyTimes > 0 && p.spoiled > behavior.BodyTimes {
			behavior.Body = ""
		}
	}
	if p.downloaded == nil {
		p.downloaded = map[string]int{}
	}
	p.downloaded[path]++
	s.ledger.totals.Downloads++
	s.record(Event{Call: Download, Project: p.id, Status: status, Detail: path})
	return s.file(path, behavior.Edition, s.outputSize(p)), behavior
}

// refuseMedia says no as object stores do, in XML.
func refuseMedia(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, xmlError(code)) // nobody is left to tell when the client is gone
}

func xmlError(code string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>" + html.EscapeString(code) + "</Code></Error>"
}
