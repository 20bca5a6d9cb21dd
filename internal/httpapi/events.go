package httpapi

import (
	"bytes"
	"encoding/json"
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
			if known, ok := a.Caller(bearer(r)); !ok || !known.May(Read) || !known.Sees(job) {
				return nil // the token was taken back
			}
			if fresh, err := a.find(r.Context(), r.PathValue("id"), c); err == nil { // Redis may be away for a while
				job = fresh
			}
		}
	}
	return nil
}

// streams counts those that are open, each of which asks Redis once a second.
type streams struct {
	mu   sync.Mutex
	all  int
	each map[string]int // by the name of the token
}

// The bounds of streams.
const (
	streamsAtMost    = 1000
	streamsOfACaller = 200
)

func (s *streams) enter(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsAtMost || s.each[name] >= streamsOfACaller {
		return false
	}
	if s.each == nil {
		s.each = map[string]int{}
	}
	s.all++
	s.each[name]++
	return true
}

func (s *streams) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.each[name]--; s.each[name] == 0 {
		delete(s.each, name)
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
