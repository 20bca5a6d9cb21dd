package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A site has two tenants, an operator, and one job of each state that a page treats differently.
type site struct {
	t      *testing.T
	rdb    *redis.Client
	client *tasks.Client
	pages  http.Handler
}

func newSite(t *testing.T) *site {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	s := &site{t: t, rdb: rdb, client: tasks.NewClient(rdb)}
	cancel := func(ctx context.Context, job *tasks.Job) error {
		_, err := s.client.Cancel(ctx, job.ID)
		return err
	}
	retry := func(ctx context.Context, job *tasks.Job) error {
		if job.ID == "dear" {
			return &RefusedError{"no credits are left"}
		}
		_, err := s.client.Retry(ctx, job.ID, false)
		return err
	}
	s.pages = New(Config{
		Client: s.client,
		Login: func(token string) (Visitor, bool) {
			v, known := map[string]Visitor{
				"acme": {Name: "acme", Tenant: "acme", Cancel: cancel, Retry: retry}, "rival": {Name: "rival", Tenant: "rival", Cancel: cancel, Retry: retry},
				"reader": {Name: "reader", Tenant: "acme"}, "boss": {Name: "boss", All: true},
			}[token]
			return v, known
		},
		Open: func(_ context.Context, o tasks.Output) (io.ReadCloser, error) {
			if o.Key == "gone" {
				return nil, os.ErrNotExist
			}
			return nopCloser{strings.NewReader("0123456789")}, nil
		},
		Log: slog.New(slog.DiscardHandler),
	})
	return s
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// put writes the record of a job as a worker would.
func (s *site) put(id, tenant string, change func(*tasks.Job)) {
	s.t.Helper()
	job, err := tasks.NewJob(tasks.Request{ID: id, Operation: "text-to-video", Body: []byte(`{"end_seconds":5,"style":{"prompt":"<b>x</b>"}}`), Options: tasks.Options{Tenant: tenant, Metadata: map[string]string{"order": "<i>4711</i>"}}}, time.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	job.StateAt = time.Now()
	change(job)
	text, err := job.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	store := records.New(s.rdb)
	_, entered := store.Enter(s.t.Context(), string(job.State), id)
	_, saved := store.Save(s.t.Context(), id, text, records.Absent, 0)
	if err := errors.Join(entered, saved); err != nil {
		s.t.Fatal(err)
	}
}

// ask is a request of somebody with a token; none if that is empty.
func (s *site) ask(method, path, token string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, nil)
	if token != "" {
		r.AddCookie(&http.Cookie{Name: cookie, Value: token}) //nolint:gosec // of a request
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.pages.ServeHTTP(w, r)
	return w
}

func stored(j *tasks.Job) {
	at := time.Now()
	j.State, j.StoredAt = tasks.Cleaning, &at
	j.Outputs = []tasks.Output{
		{N: 1, Key: "x/1.mp4", URL: "s3://b/x/1.mp4", Size: 10, ContentType: "video/mp4", Checksum: "crc64nvme:x"},
		{N: 2, Key: "x/2.html", URL: "s3://b/x/2.html", Size: 10, ContentType: "text/html"},
		{N: 3, Key: "gone", Size: 10, ContentType: "image/png"},
	}
}

func failed(j *tasks.Job) {
	j.State, j.ProjectID = tasks.Failed, "p1"
	j.Error = &tasks.Error{Stage: "download", Code: "object_exists", Message: "somebody's <script>alert(1)</script>", Hint: "mend it"}
}

// TestEveryRouteAsksWho: without a token there is a door, and another tenant's jobs are not there.
func TestEveryRouteAsksWho(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("mine", "acme", stored)
	s.put("failed", "acme", failed)
	s.put("fresh", "acme", func(*tasks.Job) {})
	tests := []struct {
		method, path              string
		nobody, rival, read, mine int
	}{
		{"GET", "/", 401, 200, 200, 200},
		{"GET", "/jobs/mine", 401, 404, 200, 200},
		{"GET", "/jobs/mine/files/1", 401, 404, 200, 200},
		{"POST", "/jobs/failed/retry", 401, 404, 403, 303},
		{"POST", "/jobs/fresh/cancel", 401, 404, 403, 303},
	}
	for _, tt := range tests {
		for _, who := range []struct {
			token string
			want  int
		}{{"", tt.nobody}, {"made-up", tt.nobody}, {"rival", tt.rival}, {"reader", tt.read}, {"acme", tt.mine}} {
			w := s.ask(tt.method, tt.path, who.token)
			if w.Code != who.want {
				t.Errorf("%s %s as %q: got %d, want %d", tt.method, tt.path, who.token, w.Code, who.want)
			}
			if strings.Contains(w.Body.String(), "4711") && (who.token == "" || who.token == "rival") {
				t.Errorf("%s %s shows %q what is acme's", tt.method, tt.path, who.token)
			}
		}
	}
	if job, err := s.client.Job(t.Context(), "fresh"); err != nil || job.State != tasks.Canceled {
		t.Errorf("canceled: got %v, %v", job, err)
	}
	if body := s.ask("GET", "/", "rival").Body.String(); strings.Contains(body, "mine") {
		t.Error("the list shows a rival acme's jobs")
	}
	if body := s.ask("GET", "/", "boss").Body.String(); !strings.Contains(body, "mine") || !strings.Contains(body, "acme") {
		t.Error("the list does not show an operator everybody's jobs")
	}
}

// TestBudgetRefuses: a page says why it does not retry.
func TestBudgetRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("dear", "acme", failed)
	if w := s.ask("POST", "/jobs/dear/retry", "acme"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "no credits are left") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestOlderOnes: page by page each job comes once.
func TestOlderOnes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range pageSize + 10 {
		s.put(fmt.Sprintf("j%03d", i), []string{"acme", "rival"}[i%10/9], func(*tasks.Job) {})
	}
	first := s.ask("GET", "/", "acme").Body.String()
	_, link, found := strings.Cut(first, `<a href="/?show=&amp;from=`)
	if !found {
		s.put("one-more", "acme", func(*tasks.Job) {})
		t.Fatalf("no link to older ones:\n%s", first)
	}
	from, _, _ := strings.Cut(link, `"`)
	older := s.ask("GET", "/?from="+from, "acme").Body.String()
	if !strings.Contains(older, "j000") || strings.Contains(older, "j058") || strings.Contains(first, "j000") || !strings.Contains(first, "j058") {
		t.Errorf("the pages overlap, or jobs are missing:\n%s", older)
	}
	if w := s.ask("GET", "/?from=made-up", "acme"); w.Code != http.StatusNotFound {
		t.Errorf("a made-up cursor: got %d", w.Code)
	}
}

// TestForeignForms: a page elsewhere can't make the browser of somebody who is logged in act.
func TestForeignForms(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("fresh", "acme", func(*tasks.Job) {})
	w := s.ask("POST", "/jobs/fresh/cancel", "acme", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if job, _ := s.client.Job(t.Context(), "fresh"); w.Code != http.StatusForbidden || job.State != tasks.Pending {
		t.Errorf("got %d, and the job is %s", w.Code, job.State)
	}
}

// TestTextIsText: what callers and the API wrote is shown, and not run.
func TestTextIsText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("failed", "acme", failed)
	w := s.ask("GET", "/jobs/failed", "acme")
	body := w.Body.String()
	for _, want := range []string{"&lt;script&gt;alert(1)", "&lt;i&gt;4711", "mend it", "Retry"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, "<script>alert") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page runs what it shows")
	}
}

// TestFiles: what a browser would run is only saved; parts can be asked for.
func TestFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("mine", "acme", stored)
	video := s.ask("GET", "/jobs/mine/files/1", "acme", func(r *http.Request) { r.Header.Set("Range", "bytes=2-4") })
	if video.Code != http.StatusPartialContent || video.Body.String() != "234" || video.Header().Get("Content-Type") != "video/mp4" {
		t.Errorf("a part of a video: got %d %q %s", video.Code, video.Body, video.Header().Get("Content-Type"))
	}
	text := s.ask("GET", "/jobs/mine/files/2", "acme")
	if h := text.Header(); h.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("a page among the files: got %v", h)
	}
	for path, want := range map[string]int{"/jobs/mine/files/3": 404, "/jobs/mine/files/9": 404, "/jobs/mine/files/x": 404, "/jobs/nobody": 404, "/jobs/..%2f": 404, "/nothing": 404} {
		if w := s.ask("GET", path, "acme"); w.Code != want {
			t.Errorf("%s: got %d, want %d", path, w.Code, want)
		}
	}
}

// TestDoor: a token becomes a cookie that scripts and other sites don't see, and leads nowhere else.
func TestDoor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	enter := func(token, to string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/login", strings.NewReader(url.Values{"token": {token}, "to": {to}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		s.pages.ServeHTTP(w, r)
		return w
	}
	for to, want := range map[string]string{"/jobs/x": "/jobs/x", "/?show=failed": "/?show=failed", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", `/./\evil.example`: "/", "/jobs/x/cancel": "/", "": "/"} {
		w := enter("acme", to)
		set := w.Header().Get("Set-Cookie")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("to %q: got %d to %q, want %q", to, w.Code, w.Header().Get("Location"), want)
		}
		for _, attribute := range []string{"HttpOnly", "Secure", "SameSite=Strict"} {
			if !strings.Contains(set, attribute) {
				t.Errorf("the cookie lacks %s: %s", attribute, set)
			}
		}
	}
	if w := enter("made-up", "/"); w.Code != http.StatusUnauthorized || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a made-up token: got %d %q", w.Code, w.Header().Get("Set-Cookie"))
	}
	if set := s.ask("POST", "/logout", "acme").Header().Get("Set-Cookie"); !strings.Contains(set, "Max-Age=0") {
		t.Errorf("logged out: got %q", set)
	}
}
