package magichourtest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// Webhooks says where events are sent and how badly.
type Webhooks struct {
	URL    string `json:"url"`    // empty: no events are kept or sent
	Secret string `json:"secret"` // the key of the signature, as it is

	Duplicate bool     `json:"duplicate,omitempty"` // sends every event twice
	Reorder   bool     `json:"reorder,omitempty"`   // sends the latest of those due first
	Early     bool     `json:"early,omitempty"`     // sends started before the create is answered
	Lose      bool     `json:"lose,omitempty"`      // sends nothing, as an outage does
	Stale     bool     `json:"stale,omitempty"`     // retries carry the timestamp of the first attempt
	Age       Duration `json:"age,omitempty"`       // how old timestamps are
}

// The documented headers.
const (
	signatureHeader = "magic-hour-event-signature"
	timestampHeader = "magic-hour-event-timestamp"
)

const (
	giveUpAfter    = 24 * time.Hour   // documented
	webhookTimeout = 10 * time.Second // documented
	quickRender    = 10 * time.Second // images that are typically faster skip started
)

// A delivery is an event on its way.
type delivery struct {
	project  *project
	event    string // "started", "completed", "errored"
	due      time.Time
	first    time.Time // attempt; zero before it
	attempts int
	busy     bool // an attempt is under way
}

// SetWebhooks changes where events are sent. Those waiting go there, too.
func (s *Server) SetWebhooks(w Webhooks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks = w
}

// Sign returns the signature of a webhook's body as documented: HMAC-SHA256 over the
// timestamp, a dot and the body, in lower-case hex.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// announce puts an event into the outbox.
func (s *Server) announce(p *project, event string, due time.Time) {
	if s.webhooks.URL == "" || s.webhooks.Lose {
		return
	}
	if event == "started" && (s.webhooks.Early || p.op.Kind == operations.Image && p.op.Typical < quickRender) {
		return
	}
	copies := 1
	if s.webhooks.Duplicate {
		copies = 2
	}
	for range copies {
		s.outbox = append(s.outbox, &delivery{project: p, event: event, due: due})
	}
}

// Deliver sends the events that are due, one after another, and returns how many were
// taken with a 2xx. The others come again after 1, 2, 4, 8 ... seconds, for 24 hours.
// There is no timer behind it: call it again when the clock has moved.
func (s *Server) Deliver(ctx context.Context) int {
	taken := 0
	for _, d := range s.dueDeliveries() {
		if ctx.Err() != nil {
			s.finish(d, false)
		} else if s.attempt(ctx, d) {
			taken++
		}
	}
	return taken
}

func (s *Server) dueDeliveries() []*delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	var due []*delivery
	for _, d := range s.outbox {
		if !d.busy && !d.due.After(s.options.Now()) {
			d.busy = true
			due = append(due, d)
		}
	}
	slices.SortStableFunc(due, func(a, b *delivery) int { return a.due.Compare(b.due) })
	if s.webhooks.Reorder {
		slices.Reverse(due)
	}
	return due
}

// deliverEarly sends started while the caller still waits for the answer to its create.
func (s *Server) deliverEarly(ctx context.Context, p *project) {
	s.mu.Lock()
	early := s.webhooks.Early && s.webhooks.URL != ""
	d := &delivery{project: p, event: "started", due: s.options.Now(), busy: true}
	if early {
		s.outbox = append(s.outbox, d)
	}
	s.mu.Unlock()
	if early {
		s.attempt(ctx, d)
	}
}

func (s *Server) attempt(ctx context.Context, d *delivery) bool {
	req, err := s.webhookRequest(ctx, d)
	status := 0
	if err == nil {
		status = s.post(req)
	}
	s.note(Event{Call: Webhook, Project: d.project.id, Status: status, Detail: d.kind()})
	ok := status/100 == 2
	s.finish(d, ok)
	return ok
}

// finish takes a delivery out of the outbox, or plans the next attempt.
func (s *Server) finish(d *delivery, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.busy = false
	now := s.options.Now()
	if ok || !d.first.IsZero() && now.Sub(d.first) > giveUpAfter {
		s.outbox = slices.DeleteFunc(s.outbox, func(other *delivery) bool { return other == d })
		return
	}
	if d.attempts > 0 {
		d.due = now.Add(time.Second << min(d.attempts-1, 12)) // the cap is a guess
	}
}

func (d *delivery) kind() string {
	return string(d.project.op.Kind) + "." + d.event
}

func (s *Server) webhookRequest(ctx context.Context, d *delivery) (*http.Request, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	d.attempts++
	if d.first.IsZero() {
		d.first = now
	}
	sent := now
	if s.webhooks.Stale {
		sent = d.first
	}
	body, err := json.Marshal(map[string]any{"type": d.kind(), "payload": s.payload(d)})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.webhooks.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	seconds := strconv.FormatInt(sent.Add(-time.Duration(s.webhooks.Age)).Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(timestampHeader, seconds)
	req.Header.Set(signatureHeader, Sign(s.webhooks.Secret, seconds, body))
	return req, nil
}

// payload is the project as a GET would have shown it at that moment.
func (s *Server) payload(d *delivery) projectObject {
	status := map[string]string{"started": rendering, "completed": complete, "errored": failed}[d.event]
	downloads := []signedFile{}
	if status == complete {
		downloads = s.downloads(d.project)
	}
	return d.project.object(status, downloads)
}

// newWebhookClient follows no redirects: whether Magic Hour does is not documented.
func newWebhookClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{}, // its own, so that Close can close what is idle
		Timeout:       webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post returns the status of the answer, 0 for none.
func (s *Server) post(req *http.Request) int {
	resp, err := s.hooks.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<16) // so that the connection can be used again
	return resp.StatusCode
}
