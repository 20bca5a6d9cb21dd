package magichourtest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// A Call is a kind of request. A [Fault] is matched by it and the ledger is kept in it.
type Call string

// The calls that the fake answers, and three more that stand only in the ledger.
const (
	Create    Call = "create"     // POST of an operation
	Poll      Call = "poll"       // GET of a project
	Delete    Call = "delete"     // DELETE of a project
	Account   Call = "account"    // GET of the account
	UploadURL Call = "upload-url" // POST for upload URLs
	Upload    Call = "upload"     // PUT to the media host
	Download  Call = "download"   // GET from the media host

	Webhook   Call = "webhook"   // an event that the fake sent
	Held      Call = "held"      // a request that hangs from now on; Event.Detail is its call
	Violation Call = "violation" // something that a good client never does
)

// maxBody bounds a request to the API, in bytes.
const maxBody = 1 << 20

// A request is a call of the API with its body read: only then does a handler that waits
// hear of a client that has gone.
type request struct {
	call          Call
	id            string // of the project in the path, if any
	body          []byte
	authorization string
}

// A handler decides the reply, with the lock of the server held.
type handler func(*request) reply

// A reply is what the API answers, and what the ledger says of it.
type reply struct {
	status  int
	body    any // as JSON; nil for none
	project *project
	detail  string

	retryAfter string // the header
}

// handle makes a handler a route: it reads the body, lets faults have their way, checks
// the key and writes the ledger.
func (s *Server) handle(call Call, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			refuse(http.StatusBadRequest, "unreadable body").write(w)
			return
		}
		req := &request{call, r.PathValue("id"), body, r.Header.Get("Authorization")}
		fault := s.takeFault(call, req.id)
		if fault.before() && s.fail(w, r, fault) {
			return
		}
		if call == Delete {
			s.askBeforeDelete(req.id)
		}
		answer := s.reply(req, h, fault)
		s.options.Log.Debug("api", "call", call, "path", r.URL.Path, "status", answer.status)
		if call == Create && answer.project != nil {
			s.deliverEarly(r.Context(), answer.project)
		}
		if fault.after() && s.fail(w, r, fault) {
			return
		}
		answer.write(w)
	})
}

// askBeforeDelete lets a test judge a delete at its moment.
func (s *Server) askBeforeDelete(project string) {
	p, found := s.Project(project)
	if s.options.OnDelete == nil || !found || p.Deleted {
		return
	}
	if err := s.options.OnDelete(project); err != nil {
		s.note(Event{Call: Violation, Project: project, Detail: err.Error()})
	}
}

// reply lets the handler decide and writes that down in one go, so that the order of the
// ledger is the order in which things took effect.
func (s *Server) reply(req *request, h handler, fault *Fault) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	answer := refuse(http.StatusUnauthorized, "Unauthorized")
	switch {
	case !s.limiter.take(s.options):
		answer = refuse(http.StatusTooManyRequests, "Too Many Requests")
		answer.retryAfter = "1"
		s.ledger.totals.Throttled++
	case s.authorized(req.authorization):
		answer = h(req)
	}
	event := Event{Call: req.call, Project: req.id, Status: answer.status, Detail: answer.detail}
	if answer.project != nil {
		event.Project = answer.project.id
	}
	if fault.after() {
		event.Detail = strings.TrimPrefix(event.Detail+"; answer spoiled: "+fault.String(), "; ")
	}
	s.record(event)
	return answer
}

func (s *Server) authorized(header string) bool {
	token, ok := strings.CutPrefix(header, "Bearer ")
	return ok && token != "" && !s.revoked && (s.key == "" || token == s.key)
}

// An apiError is the body of every answer that says no.
type apiError struct {
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
}

// errorCodes are those of the published schema, and likely ones for what it leaves out.
var errorCodes = map[int]string{
	http.StatusBadRequest:          "invalid_request",
	http.StatusUnauthorized:        "unauthorized",
	http.StatusPaymentRequired:     "insufficient_credits",
	http.StatusForbidden:           "forbidden",
	http.StatusNotFound:            "not_found",
	http.StatusUnprocessableEntity: "unprocessable_entity",
	http.StatusTooManyRequests:     "too_many_requests",
	http.StatusInternalServerError: "internal_server_error",
	http.StatusBadGateway:          "bad_gateway",
	http.StatusServiceUnavailable:  "service_unavailable",
	http.StatusGatewayTimeout:      "gateway_timeout",
}

func refuse(status int, message string) reply {
	return reply{status: status, body: apiError{errorCodes[status], message}, detail: message}
}

func (r reply) write(w http.ResponseWriter) {
	if r.retryAfter != "" {
		w.Header().Set("Retry-After", r.retryAfter)
	}
	if r.body == nil {
		w.WriteHeader(r.status)
		return
	}
	writeJSON(w, r.status, r.body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // nobody else writes the & of a URL as \u0026
	_ = e.Encode(body)     // nobody is left to tell when the client is gone
}
