package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// lookFor is for how long parts of the list are looked at for one page.
const lookFor = 2 * time.Second

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
	Next    string // where the next page begins; "" at the end
	Live    bool
}

func (p *pages) list(w http.ResponseWriter, r *http.Request, v Visitor) error {
	data := listPage{Visitor: v, Tabs: tabs, Tab: r.URL.Query().Get("show")}
	at := max(slices.IndexFunc(tabs, func(t tab) bool { return t.Name == data.Tab }), 0)
	data.Tab = tabs[at].Name
	filter := tasks.Filter{States: tabs[at].States}
	if !v.All {
		filter.Tenant = v.Tenant
	}
	var err error
	data.Next = r.URL.Query().Get("from")
	for began := time.Now(); time.Since(began) < lookFor; { // of many jobs of others a part may have none of the visitor's
		data.Jobs, data.Next, err = p.Client.Page(r.Context(), filter, data.Next, pageSize)
		if err != nil || len(data.Jobs) > 0 || data.Next == "" {
			break
		}
	}
	if errors.Is(err, tasks.ErrInvalid) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	for _, job := range data.Jobs {
		data.Live = data.Live || !job.State.Settled()
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
	p.show(w, http.StatusOK, "job.html", jobPage{v, job, v.Cancel != nil && cancelable, v.Retry != nil && retryable, !job.State.Settled()})
	return nil
}

func (p *pages) cancel(w http.ResponseWriter, r *http.Request, v Visitor) error {
	return p.change(w, r, v, v.Cancel)
}

// retry goes on with the project that is paid for. To buy anew is for the command line, and for HTTP.
func (p *pages) retry(w http.ResponseWriter, r *http.Request, v Visitor) error {
	return p.change(w, r, v, v.Retry)
}

func (p *pages) change(w http.ResponseWriter, r *http.Request, v Visitor, do func(context.Context, *tasks.Job) error) error {
	job, err := p.find(r, v)
	if err == nil && do == nil {
		err = errForbidden
	}
	if err == nil {
		err = do(r.Context(), job)
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
	if errors.Is(err, fs.ErrNotExist) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("open output %d of job %s: %w", n, job.ID, err)
	}
	defer func() { _ = body.Close() }()
	w = &patient{w, http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "private, no-cache") // asked for anew, which costs little with the ETag
	h.Set("Content-Type", "application/octet-stream")
	disposition := "attachment"
	if shows(o) != "" {
		h.Set("Content-Type", o.ContentType)
		disposition = "inline"
	}
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": job.ID + "-" + path.Base(o.Key)}))
	h.Set("ETag", strconv.Quote(o.Checksum))
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // of many parts each would be asked of the store by itself
	}
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
