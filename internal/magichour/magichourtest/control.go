package magichourtest

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// controlRoutes are the ways to steer the fake from another process; doc.go lists them.
func (s *Server) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	s.readingRoutes(mux)
	mux.HandleFunc("DELETE /_fake/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_fake/release", func(w http.ResponseWriter, _ *http.Request) {
		s.Release()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /_fake/deliver", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, map[string]int{"sent": s.Deliver(r.Context())})
	})
	mux.Handle("PUT /_fake/projects/{id}/behavior", control(s.controlBehavior))
	mux.Handle("PUT /_fake/behavior", control(s.controlDefault))
	mux.Handle("POST /_fake/behaviors", control(s.controlScript))
	mux.Handle("POST /_fake/faults", control(s.controlFaults))
	mux.Handle("PUT /_fake/key", control(s.controlKey))
	mux.Handle("PUT /_fake/credits", control(s.controlCredits))
	mux.Handle("PUT /_fake/webhooks", control(s.controlWebhooks))
	return mux
}

func (s *Server) readingRoutes(mux *http.ServeMux) {
	read := func(pattern string, get func(*http.Request) (any, bool)) {
		mux.HandleFunc("GET /_fake/"+pattern, func(w http.ResponseWriter, r *http.Request) {
			if answer, ok := get(r); ok {
				writeJSON(w, http.StatusOK, answer)
				return
			}
			refuse(http.StatusNotFound, "Not Found").write(w)
		})
	}
	read("ledger", func(r *http.Request) (any, bool) {
		since, _ := strconv.Atoi(r.FormValue("since"))
		return s.LedgerSince(since), true
	})
	read("totals", func(*http.Request) (any, bool) { return s.Totals(), true })
	read("faults", func(*http.Request) (any, bool) { return s.Faults(), true })
	read("projects", func(*http.Request) (any, bool) { return s.Projects(), true })
	read("projects/{id}", func(r *http.Request) (any, bool) { return s.Project(r.PathValue("id")) })
	read("projects/{id}/outputs", func(r *http.Request) (any, bool) {
		outputs, err := s.Outputs(r.PathValue("id"))
		return outputs, err == nil
	})
	read("uploads", func(r *http.Request) (any, bool) { return s.Uploaded(r.FormValue("file_path")) })
	mux.HandleFunc("GET /_fake/projects/{id}/outputs/{n}", s.controlOutput)
}

// controlOutput streams the true bytes, with no fault or behavior in the way.
func (s *Server) controlOutput(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.PathValue("n"))
	path, file, err := s.openOutput(r.PathValue("id"), n)
	if err != nil {
		refuse(http.StatusNotFound, err.Error()).write(w)
		return
	}
	w.Header().Set("Content-Type", contentType(path))
	_, _ = io.Copy(w, file) // nobody is left to tell when the client is gone
}

// control makes a route of a function that takes JSON and answers with 204, or 400 and
// what is wrong.
func control[T any](do func(*http.Request, T) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var given T
		if err == nil {
			err = decodeStrictly(body, &given)
		}
		if err == nil {
			err = do(r, given)
		}
		if err != nil {
			refuse(http.StatusBadRequest, err.Error()).write(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Server) controlBehavior(r *http.Request, b Behavior) error {
	if err := b.check(); err != nil {
		return err
	}
	if id := r.PathValue("id"); !s.SetBehavior(id, b) {
		return fmt.Errorf("no project %q", id)
	}
	return nil
}

func (s *Server) controlDefault(_ *http.Request, b Behavior) error {
	if err := b.check(); err != nil {
		return err
	}
	s.SetDefaultBehavior(b)
	return nil
}

func (s *Server) controlScript(_ *http.Request, behaviors []Behavior) error {
	for _, b := range behaviors {
		if err := b.check(); err != nil {
			return err
		}
	}
	s.Script(behaviors...)
	return nil
}

func (s *Server) controlFaults(_ *http.Request, faults oneOrMore[Fault]) error {
	for i := range faults {
		if err := faults[i].check(); err != nil {
			return err
		}
	}
	s.Inject(faults...)
	return nil
}

func (s *Server) controlKey(_ *http.Request, key struct{ Revoked bool }) error {
	s.RevokeKey(key.Revoked)
	return nil
}

func (s *Server) controlCredits(_ *http.Request, balance struct{ Credits int }) error {
	s.SetCredits(balance.Credits)
	return nil
}

func (s *Server) controlWebhooks(_ *http.Request, w Webhooks) error {
	s.SetWebhooks(w)
	return nil
}

// oneOrMore is a list that may be written as its only element.
type oneOrMore[T any] []T

// UnmarshalJSON reads either.
func (list *oneOrMore[T]) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return decodeStrictly(text, (*[]T)(list))
	}
	var only T
	err := decodeStrictly(text, &only)
	*list = oneOrMore[T]{only}
	return err
}
