package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	lookEvery  = time.Second
	beatEvery  = 15 * time.Second // proxies close what is silent for longer
	writeLimit = 10 * time.Second // for one event
)

// events tells how a job goes on, as server-sent events: the job as it stands, then after each change, until there is
// nothing more to wait for. Whoever comes back after a break is told how it stands then.
func (a *API) events(w http.ResponseWriter, r *http.Request, c Caller) error {
	if !a.streams.enter(c.Name) {
		return problem{Status: http.StatusServiceUnavailable, Code: "busy", Detail: "too many streams are open: ask GET /v1/jobs/{id} from time to time", retryAfter: 10 * time.Second}
	}
	defer a.streams.leave(c.Name)
	job, err := a.find(r.Context(), r.PathValue("id"), c)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events to itself
	s := &stream{w: w, control: http.NewResponseController(w)}
	look, beat := time.NewTicker(lookEvery), time.NewTicker(beatEvery)
	defer look.Stop()
	defer beat.Stop()
	for s.tell(job) && !job.State.Settled() {
		select {
		case <-r.Context().Done():
			return nil
		case <-a.ending:
			return nil
		case <-beat.C:
			s.write(": still here\n\n")
		case <-look.C:
			if c, err = a.allowed(r, Read); err != nil {
				return nil //nolint:nilerr // the token was taken back meanwhile
			}
			switch fresh, err := a.find(r.Context(), r.PathValue("id"), c); {
			case err == nil:
				job = fresh
			case errors.Is(err, notFound):
				return nil // its record has expired
			} // Redis may be away for a while
		}
	}
	return nil
}

// The bounds of open streams, each of which asks Redis once a second.
const (
	streamsAtMost = 1000
	streamsOfOne  = 250 // of one token: others want some, too
)

// streams counts those that are open.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

func (s *streams) enter(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsAtMost || s.of[name] >= streamsOfOne {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.all++
	s.of[name]++
	return true
}

func (s *streams) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.of[name]--; s.of[name] == 0 {
		delete(s.of, name)
	}
}

// A stream tells each state of a job once.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	told    []byte
	broken  bool
}

// tell reports whether somebody still listens.
func (s *stream) tell(job *tasks.Job) bool {
	text, err := json.Marshal(job.View())
	if err == nil && !bytes.Equal(text, s.told) {
		s.told = text
		s.write(fmt.Sprintf("event: job\nid: %d\ndata: %s\n\n", job.UpdatedAt.UnixMicro(), text))
	}
	return !s.broken && err == nil
}

func (s *stream) write(text string) {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := s.w.Write([]byte(text))
	if err == nil {
		err = s.control.Flush()
	}
	s.broken = s.broken || err != nil
}
