package magichourtest

import (
	"fmt"
	"net/http"
	"slices"
)

// An Action is what a fault does to a request.
type Action string

// The actions.
const (
	Respond Action = ""        // answers with Status
	Reset   Action = "reset"   // resets the connection
	Hang    Action = "hang"    // answers only after Server.Release
	Garbage Action = "garbage" // 200 with JSON that breaks off, after the request took effect
	Delay   Action = "slow"    // answers after Fault.Delay
)

// A Shape is the form of an error's body.
type Shape string

// The shapes. The default is {code, message}, and XML from the media host.
const (
	CodeMessage Shape = ""        // {"code": ..., "message": ...}
	MessageOnly Shape = "message" // {"message": ...}
	HTML        Shape = "html"    // the page of a proxy
	XML         Shape = "xml"     // as object stores have it
	Empty       Shape = "empty"   // nothing
)

// A Fault is something that goes wrong with requests. Faults wait in a queue; a request
// gets the first one that it matches.
//
// Go's HTTP client repeats a GET by itself when a kept connection is reset, so one such
// request may use up two faults.
type Fault struct {
	Call    Call   `json:"call,omitempty"`    // which calls; empty: every one
	Project string `json:"project,omitempty"` // of which project; empty: any
	Times   int    `json:"times,omitempty"`   // how many requests; 0: one; negative: until ClearFaults

	Do Action `json:"do,omitempty"`
	// After lets the request take effect first: a create is charged and its answer lost.
	After bool `json:"after,omitempty"`

	Status     int      `json:"status,omitempty"`      // for Respond. Default: 500
	Code       string   `json:"code,omitempty"`        // for Respond. Default: the usual one of that status
	Shape      Shape    `json:"shape,omitempty"`       // for Respond
	RetryAfter string   `json:"retry_after,omitempty"` // the header as it is: seconds or an HTTP date
	Delay      Duration `json:"delay,omitempty"`       // for Delay, in real time
}

// String names the fault for the ledger: "reset", "502".
func (f *Fault) String() string {
	if f.Do == Respond {
		return fmt.Sprint(f.Status)
	}
	return string(f.Do)
}

// check fills in defaults and refuses what would be ignored in silence.
func (f *Fault) check() error {
	if !slices.Contains([]Call{"", Create, Poll, Delete, Account, UploadURL, Upload, Download}, f.Call) {
		return fmt.Errorf("unknown call %q", f.Call)
	}
	if !slices.Contains([]Action{Respond, Reset, Hang, Garbage, Delay}, f.Do) {
		return fmt.Errorf("unknown action %q", f.Do)
	}
	if !slices.Contains([]Shape{CodeMessage, MessageOnly, HTML, XML, Empty}, f.Shape) {
		return fmt.Errorf("unknown shape %q", f.Shape)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status %d: want 200 to 599", f.Status)
	}
	return nil
}

// Inject queues faults. It panics if one has an unknown call, action or shape.
func (s *Server) Inject(faults ...Fault) {
	for i := range faults {
		if err := faults[i].check(); err != nil {
			panic("magichourtest: " + err.Error())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Status == 0 && f.Do == Respond {
			f.Status = http.StatusInternalServerError
		}
		if f.Times == 0 {
			f.Times = 1
		}
		f.After = f.After || f.Do == Garbage
		s.faults = append(s.faults, &f)
	}
}

// Faults returns those that are still to come.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := []Fault{}
	for _, f := range s.faults {
		waiting = append(waiting, *f)
	}
	return waiting
}

// ClearFaults forgets those that are still to come.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Release lets go of every request that is held by now: it is answered as if nothing had
// been wrong.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release()
}

func (s *Server) release() {
	close(s.released)
	s.released = make(chan struct{})
}

// takeFault returns a copy of the fault that a request gets, nil for none.
func (s *Server) takeFault(call Call, project string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.Call != "" && f.Call != call || f.Project != "" && f.Project != project {
			continue
		}
		taken := *f
		if f.Times--; f.Times == 0 {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		taken.Call, taken.Project = call, project
		return &taken
	}
	return nil
}

func (f *Fault) before() bool { return f != nil && !f.After }
func (f *Fault) after() bool  { return f != nil && f.After }
