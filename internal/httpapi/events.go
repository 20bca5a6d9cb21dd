package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
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
	select {
	case a.streams <- struct{}{}:
		defer func() { <-a.streams }()
	default:
		return problem{Status: http.StatusServiceUnavailable, Code: "busy", Detail: "too many streams are open: ask GET /v1/jobs/{id} from time to time", retryAfter: 10 * time.Second}
	}
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
			if fresh, err := a.find(r.Context(), r.PathValue("id"), c); err == nil { // Redis may be away for a while
				job = fresh
			}
		}
	}
	return nil
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
