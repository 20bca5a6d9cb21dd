package page

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// pageSize is how many jobs a page lists.
const pageSize = 50

// A tab is a choice of states.
type tab struct {
	Name, Label string
	States      []tasks.State
}

var tabs = []tab{
	{"", "All", nil},
	{"active", "On the road", []tasks.State{tasks.Pending, tasks.Creating, tasks.Rendering, tasks.Storing, tasks.Cleaning}},
	{"done", "Done", []tasks.State{tasks.Done}},
	{"failed", "Failed", []tasks.State{tasks.Failed}},
	{"unknown", "Unknown", []tasks.State{tasks.Unknown}},
	{"canceled", "Canceled", []tasks.State{tasks.Canceled}},
}

type listPage struct {
	Visitor Visitor
	Tabs    []tab
	Tab     string
	Jobs    []*tasks.Job
	Broken  int // records that can't be read
	More    bool
	Live    bool
}

func (p *pages) list(w http.ResponseWriter, r *http.Request, v Visitor) error {
	data := listPage{Visitor: v, Tabs: tabs, Tab: r.URL.Query().Get("show")}
	at := max(slices.IndexFunc(tabs, func(t tab) bool { return t.Name == data.Tab }), 0)
	data.Tab = tabs[at].Name
	ctx := r.Context()
	var trouble error
	for job, err := range p.Client.List(ctx, tasks.Filter{States: tabs[at].States}) {
		switch {
		case err != nil: // of a record that can't be read, or the last one, of Redis
			data.Broken++
			trouble = err
			continue
		case !v.sees(job):
			continue
		}
		if data.More = len(data.Jobs) == pageSize; data.More {
			break
		}
		data.Jobs = append(data.Jobs, job)
		data.Live = data.Live || !job.State.Settled()
	}
	if trouble != nil && len(data.Jobs) == 0 {
		return trouble
	}
	p.show(w, http.StatusOK, "list.html", data)
	return nil
}

type jobPage struct {
	Visitor             Visitor
	Job                 *tasks.Job
	MayCancel, MayRetry bool
	Live                bool
}

func (p *pages) job(w http.ResponseWriter, r *http.Request, v Visitor) error {
	job, err := p.find(r, v)
	if err != nil {
		return err
	}
	cancelable := !job.State.Ended() && job.StoredAt == nil
	retryable := job.Clone().Retry(false, time.Now()) == nil // not a render that failed: that takes another purchase
	p.show(w, http.StatusOK, "job.html", jobPage{v, job, v.Cancel && cancelable, v.Retry && retryable && !v.overspends(job), !job.State.Settled()})
	return nil
}

func (p *pages) cancel(w http.ResponseWriter, r *http.Request, v Visitor) error {
	return p.change(w, r, v, v.Cancel, func(job *tasks.Job) error {
		_, err := p.Client.Cancel(r.Context(), job.ID)
		return err
	})
}

// retry goes on with the project that is paid for. To buy anew is for the command line, and for HTTP.
func (p *pages) retry(w http.ResponseWriter, r *http.Request, v Visitor) error {
	return p.change(w, r, v, v.Retry, func(job *tasks.Job) error {
		if v.overspends(job) {
			return errForbidden
		}
		_, err := p.Client.Retry(r.Context(), job.ID, false)
		return err
	})
}

// overspends reports whether a retry may buy what a budget would have to be asked for.
func (v Visitor) overspends(job *tasks.Job) bool { return v.Budget && job.ProjectID == "" }

func (p *pages) change(w http.ResponseWriter, r *http.Request, v Visitor, allowed bool, do func(*tasks.Job) error) error {
	job, err := p.find(r, v)
	if err == nil && !allowed {
		err = errForbidden
	}
	if err == nil {
		err = do(job)
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/jobs/"+job.ID, http.StatusSeeOther)
	return nil
}

// file hands out a copy. Only what a browser shows without running it is shown; the rest is saved.
func (p *pages) file(w http.ResponseWriter, r *http.Request, v Visitor) error {
	job, err := p.find(r, v)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(r.PathValue("n"))
	at := slices.IndexFunc(job.Outputs, func(o tasks.Output) bool { return o.N == n })
	if at < 0 {
		return errNotFound
	}
	o := job.Outputs[at]
	body, err := p.Open(r.Context(), o)
	if err != nil {
		return fmt.Errorf("open output %d of job %s: %w", n, job.ID, err)
	}
	defer func() { _ = body.Close() }()
	w = &patient{w, http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "private, max-age=3600")
	h.Set("Content-Type", "application/octet-stream")
	disposition := "attachment"
	if shows(o) != "" {
		h.Set("Content-Type", o.ContentType)
		disposition = "inline"
	}
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": job.ID + "-" + path.Base(o.Key)}))
	h.Set("ETag", strconv.Quote(o.Checksum))
	if seeker, ok := body.(io.ReadSeeker); ok {
		http.ServeContent(w, r, "", time.Time{}, seeker) // with ranges, which players on phones insist on
		return nil
	}
	h.Set("Content-Length", strconv.FormatInt(o.Size, 10))
	_, _ = io.Copy(w, body)
	return nil
}

// shows says by which element a browser shows a file; "" if by none.
func shows(o tasks.Output) string {
	kind, _, _ := strings.Cut(o.ContentType, ";")
	switch kind {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif":
		return "img"
	case "video/mp4", "video/webm", "video/quicktime":
		return "video"
	case "audio/mpeg", "audio/mp4", "audio/wav", "audio/x-wav", "audio/ogg", "audio/webm":
		return "audio"
	}
	return ""
}

// patient lets an answer take as long as somebody reads it: the server's own limit is for all of an answer.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

// standsStill is how long a reader may take for what was written.
const standsStill = 30 * time.Second

// Write implements http.ResponseWriter.
func (p *patient) Write(text []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(standsStill))
	return p.ResponseWriter.Write(text)
}

// Unwrap lets http.ResponseController through.
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
