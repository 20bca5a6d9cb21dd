package httpapi

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

func TestSubmit(t *testing.T) {
	t.Parallel()
	s := newService(t)
	w := s.want(202, "POST", "/v1/jobs", "acme", video("a", `,"options":{"priority":"high","metadata":{"order":"1"},"notify":{"url":"https://shop.example/x"}}`))
	if v := viewOf(t, w); v.ID != "a" || v.Tenant != "acme" || v.Metadata["order"] != "1" || w.Header().Get("Location") != "/v1/jobs/a" {
		t.Errorf("got %+v at %s", v, w.Header().Get("Location"))
	}
	if v := viewOf(t, s.want(200, "GET", w.Header().Get("Location"), "acme", "")); v.State != tasks.Pending {
		t.Errorf("got %s", v.State)
	}
	s.want(200, "POST", "/v1/jobs", "acme", video("a", `,"options":{"priority":"high","metadata":{"order":"1"},"notify":{"url":"https://shop.example/x"}}`))
	s.want(409, "POST", "/v1/jobs", "acme", video("a", ""))
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "b") }
	s.want(202, "POST", "/v1/jobs", "acme", video("", ""), key)
	s.want(200, "POST", "/v1/jobs", "acme", video("b", ""), key)
	s.want(422, "POST", "/v1/jobs", "acme", video("c", ""), key)
	if made := viewOf(t, s.want(202, "POST", "/v1/jobs", "acme", video("", ""))); made.ID == "" {
		t.Error("no id was made")
	}
}

// TestRefused: what would be refused later is refused now, with the fields that are wrong.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "rival", video("taken", ""))
	tests := []struct {
		name, body string
		status     int
		path       string
	}{
		{"no JSON", `{`, 400, ""},
		{"two values", `{} {}`, 400, ""},
		{"a field missing", `{"operation":"text-to-video","body":{"end_seconds":5,"style":{}}}`, 422, "body.style.prompt"},
		{"an unknown operation", `{"operation":"text-to-vide","body":{}}`, 422, "operation"},
		{"a bad id", video("../x", ""), 422, "id"},
		{"a misspelt field", video("x", `,"option":{}`), 422, "option"},
		{"a misspelt option", video("x", `,"options":{"overwite":true}`), 422, "options.overwite"},
		{"a misspelt way", video("x", `,"options":{"notify":{"uri":"https://x"}}`), 422, "options.notify.uri"},
		{"an option of another type", video("x", `,"options":{"overwrite":"yes"}`), 422, "options.overwrite"},
		{"a callback that is no URL", video("x", `,"options":{"notify":{"url":"ftp://x"}}`), 422, "options.notify.url"},
		{"too much", `{"body":"` + strings.Repeat("x", longestBody) + `"}`, 413, ""},
		{"another tenant's name", video("x", `,"options":{"tenant":"rival"}`), 403, ""},
		{"another tenant's id", video("taken", ""), 409, ""},
		{"a task in somebody's queue", video("x", `,"options":{"notify":{"task":{"queue":"default","type":"email:send"}}}`), 403, ""},
		{"somebody's stream", video("x", `,"options":{"notify":{"stream":"orders"}}`), 403, ""},
		{"somebody's files", video("x", `,"options":{"overwrite":true}`), 403, ""},
		{"something after the end", video("x", "") + "]", 400, ""},
	}
	for _, tt := range tests {
		p := problemOf(t, s.want(tt.status, "POST", "/v1/jobs", "acme", tt.body))
		if tt.path != "" && !slices.ContainsFunc(p.Errors, func(e tasks.Problem) bool { return e.Path == tt.path && e.Message != "" }) {
			t.Errorf("%s: got %+v, want %s among the fields", tt.name, p.Errors, tt.path)
		}
		if p.Detail == "" || p.Code == "" || p.Title == "" || strings.Contains(p.Detail, "rival") {
			t.Errorf("%s: got %+v", tt.name, p)
		}
	}
	s.want(415, "POST", "/v1/jobs", "acme", video("x", ""), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	if n := s.rdb.ZCard(t.Context(), "hourglass:{fleet}:jobs:pending").Val(); n != 1 {
		t.Errorf("%d jobs were accepted", n)
	}
}

// TestWhoMayWhat: every route, asked by nobody, by one without scopes, by another tenant, and by whose job it is.
func TestWhoMayWhat(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "acme", video("a", ""))
	s.want(202, "POST", "/v1/jobs", "acme", video("f", ""))
	s.change("f", failedBeforeItsCreate)
	s.want(202, "POST", "/v1/jobs", "acme", video("e", ""))
	s.change("e", func(j *tasks.Job) { j.State = tasks.Canceled })
	type row struct {
		method, path, body            string
		nobody, nothing, rival, owner int
	}
	rows := []row{
		{"POST", "/v1/jobs", video("new", ""), 401, 403, 202, 409},
		{"GET", "/v1/jobs", "", 401, 403, 200, 200},
		{"GET", "/v1/jobs/{id}", "", 401, 403, 404, 200},
		{"GET", "/v1/jobs/{id}/events", "", 401, 403, 404, 200},
		{"POST", "/v1/jobs/{id}/cancel", "", 401, 403, 404, 200},
		{"POST", "/v1/jobs/{id}/retry", "", 401, 403, 404, 200},
		{"GET", "/v1/operations", "", 401, 200, 200, 200},
		{"GET", "/v1/operations/{name}", "", 401, 200, 200, 200},
		{"GET", "/v1/openapi.json", "", 200, 200, 200, 200},
	}
	for _, r := range s.api.table() {
		if !slices.ContainsFunc(rows, func(row row) bool { return row.method+" "+row.path == r.pattern }) {
			t.Errorf("%s is not looked at", r.pattern)
		}
	}
	ids := map[string]string{"/v1/jobs/{id}/events": "e", "/v1/jobs/{id}/retry": "f"}
	for _, row := range rows {
		id := ids[row.path]
		if id == "" {
			id = "a"
		}
		path := strings.NewReplacer("{id}", id, "{name}", "face-swap").Replace(row.path)
		for _, who := range []struct {
			token string
			want  int
		}{{"", row.nobody}, {"made-up", row.nobody}, {"nothing", row.nothing}, {"rival", row.rival}, {"acme", row.owner}} {
			w := s.want(who.want, row.method, path, who.token, row.body)
			if who.token == "rival" && who.want == 404 && w.Body.String() != s.ask(row.method, strings.Replace(path, "/"+id, "/nobodys", 1), "rival", row.body).Body.String() {
				t.Errorf("%s: a rival's answer differs from that for no job", row.path)
			}
		}
	}
	var p page
	if err := json.Unmarshal(s.want(200, "GET", "/v1/jobs", "rival", "").Body.Bytes(), &p); err != nil || len(p.Jobs) != 1 || p.Jobs[0].ID != "new" {
		t.Errorf("a rival's list: got %+v, %v", p, err)
	}
	s.want(403, "GET", "/v1/jobs?tenant=rival", "acme", "")
	s.want(403, "POST", "/v1/jobs/a/cancel", "nothing", "")
	if err := json.Unmarshal(s.want(200, "GET", "/v1/jobs?tenant=acme", "boss", "").Body.Bytes(), &p); err != nil || len(p.Jobs) != 3 {
		t.Errorf("the operator's list of acme: got %+v, %v", p, err)
	}
}

func failedBeforeItsCreate(j *tasks.Job) {
	j.State, j.Error = tasks.Failed, &tasks.Error{Stage: "create", Code: "gave_up", Message: "x", Hint: "y"}
}

func TestCancelAndRetry(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "acme", video("a", ""))
	s.want(409, "POST", "/v1/jobs/a/retry", "acme", "")
	if v := viewOf(t, s.want(200, "POST", "/v1/jobs/a/cancel", "acme", "")); v.State != tasks.Canceled {
		t.Errorf("got %s", v.State)
	}
	s.change("a", func(j *tasks.Job) { j.State = tasks.Done })
	s.want(409, "POST", "/v1/jobs/a/cancel", "acme", "")
	s.change("a", func(j *tasks.Job) {
		j.State, j.ProjectID, j.RemoteStatus = tasks.Failed, "p", "error"
		j.Error = &tasks.Error{Stage: "poll", Code: "no_source_face", Message: "x", Hint: "y"}
	})
	s.want(400, "POST", "/v1/jobs/a/retry", "acme", "{")
	s.want(422, "POST", "/v1/jobs/a/retry", "acme", `{"recreat":true}`)
	s.want(413, "POST", "/v1/jobs/a/retry", "acme", strings.Repeat(" ", longestBody+1))
	s.want(415, "POST", "/v1/jobs/a/retry", "acme", `{}`, func(r *http.Request) { r.Header.Del("Content-Type") })
	s.want(409, "POST", "/v1/jobs/a/retry", "acme", `{}`)
	if v := viewOf(t, s.want(200, "POST", "/v1/jobs/a/retry", "acme", `{"recreate":true}`)); v.State != tasks.Pending {
		t.Errorf("got %s", v.State)
	}
}

// TestPages: page by page each job comes once, whatever comes meanwhile.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for i := range 25 {
		s.want(202, "POST", "/v1/jobs", []string{"acme", "rival"}[i%2], video(fmt.Sprintf("j%02d", i), ""))
	}
	var got []string
	for next, first := "", true; first || next != ""; first = false {
		var p page
		if err := json.Unmarshal(s.want(200, "GET", "/v1/jobs?limit=4&state=pending,done&operation=text-to-video&since=2020-01-01T00:00:00Z&cursor="+next, "acme", "").Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		for _, job := range p.Jobs {
			got = append(got, job.ID)
		}
		s.want(202, "POST", "/v1/jobs", "acme", video(fmt.Sprintf("late%d", len(got)), ""))
		next = p.Next
	}
	var want []string
	for i := 24; i >= 0; i -= 2 {
		want = append(want, fmt.Sprintf("j%02d", i))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{"limit=0", "limit=201", "limit=x", "state=dead", "operation=x", "since=yesterday", "cursor=x", "cursor=e30", "page=2"} {
		s.want(400, "GET", "/v1/jobs?"+bad, "acme", "")
	}
}

func TestWhatThereIs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	if body := s.want(200, "GET", "/v1/operations", "acme", "").Body.String(); !strings.Contains(body, "face-swap") || strings.Contains(body, "$schema") {
		t.Error("the operations are not listed, or with their schemas")
	}
	if body := s.want(200, "GET", "/v1/operations/face-swap", "acme", "").Body.String(); !strings.Contains(body, "video_source") {
		t.Error("no schema")
	}
	s.want(404, "GET", "/v1/operations/face-swop", "acme", "")
	w := s.want(405, "DELETE", "/v1/jobs/a", "acme", "")
	if w.Header().Get("Allow") == "" {
		t.Error("no Allow")
	}
	s.want(404, "GET", "/v2/jobs", "acme", "")
	for _, r := range s.api.table() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if _, known := parsed().Paths[path][strings.ToLower(method)]; !known {
			t.Errorf("%s is not in the document", r.pattern)
		}
	}
	routes := 0
	for _, methods := range parsed().Paths {
		for method := range methods {
			if method != "parameters" {
				routes++
			}
		}
	}
	if routes != len(s.api.table()) {
		t.Errorf("the document has %d routes, the handlers %d", routes, len(s.api.table()))
	}
}

// TestExamplesOfTheDocument: what the document shows as a request is accepted.
func TestExamplesOfTheDocument(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var post struct {
		RequestBody struct {
			Content map[string]struct {
				Examples map[string]struct{ Value json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(parsed().Paths["/v1/jobs"]["post"], &post); err != nil {
		t.Fatal(err)
	}
	examples := post.RequestBody.Content["application/json"].Examples
	if len(examples) == 0 {
		t.Fatal("no examples")
	}
	for name, e := range examples {
		if err := checkAs("#/components/schemas/Request", e.Value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.want(202, "POST", "/v1/jobs", "acme", string(e.Value))
	}
}

// TestRedisAway: every route that needs Redis says so, and lets the caller try again.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	s := newServiceOn(t, "127.0.0.1:1") // nobody listens there
	for _, r := range s.api.table() {
		method, path, _ := strings.Cut(r.pattern, " ")
		path = strings.NewReplacer("{id}", "a", "{name}", "face-swap").Replace(path)
		if r.scope == "" {
			continue
		}
		body := ""
		if r.scope == Submit {
			body = video("a", "")
		}
		w := s.want(503, method, path, "acme", body)
		if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "127.0.0.1") {
			t.Errorf("%s: got %v %s", r.pattern, w.Header(), w.Body)
		}
	}
}

// TestEvents: a stream tells each change once, and ends with the job.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "acme", video("a", ""))
	server := httptest.NewServer(s.api)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/jobs/a/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "bearer acme")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %v", answer.Header)
	}
	var states []tasks.State
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			continue
		}
		var v tasks.View
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			t.Fatal(err)
		}
		states = append(states, v.State)
		switch v.State {
		case tasks.Pending:
			s.change("a", func(j *tasks.Job) { j.State, j.ProjectID = tasks.Rendering, "p" })
		case tasks.Rendering:
			s.change("a", func(j *tasks.Job) { j.State = tasks.Done })
		}
	}
	if want := []tasks.State{tasks.Pending, tasks.Rendering, tasks.Done}; !slices.Equal(states, want) {
		t.Errorf("got %v, want %v", states, want)
	}
}

// TestStreamsEnd: with the server, and none more are let in than may be.
func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "acme", video("a", ""))
	for range streamsOfACaller {
		if !s.api.streams.enter("rival") {
			t.Fatal("too few streams")
		}
	}
	s.want(503, "GET", "/v1/jobs/a/events", "rival", "")
	for i := range streamsAtMost - streamsOfACaller {
		if !s.api.streams.enter(fmt.Sprint(i)) {
			t.Fatal("too few streams")
		}
	}
	s.want(503, "GET", "/v1/jobs/a/events", "acme", "")
	s.api.streams.leave("1")
	ended := make(chan int)
	go func() { ended <- s.ask("GET", "/v1/jobs/a/events", "acme", "").Code }()
	s.api.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a stream outlives the server")
	}
}

// TestTokenTakenBack: with its token, a stream ends.
func TestTokenTakenBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "acme", video("a", ""))
	ended := make(chan struct{})
	go func() { s.ask("GET", "/v1/jobs/a/events", "acme", ""); close(ended) }()
	if err := os.WriteFile(s.tokens, []byte(`{"v":1,"tokens":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on")
	}
}

// TestCursorTellsNothing of jobs that its holder must not know of.
func TestCursorTellsNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "acme", video("mine-old", ""))
	for i := range 150 {
		s.want(202, "POST", "/v1/jobs", "rival", video(fmt.Sprint("secret-", i), ""))
	}
	s.want(202, "POST", "/v1/jobs", "acme", video("mine-new", ""))
	var p page
	if err := json.Unmarshal(s.want(200, "GET", "/v1/jobs?limit=1", "acme", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if text, err := base64.RawURLEncoding.DecodeString(p.Next); err != nil || p.Next == "" || strings.Contains(string(text), "secret") {
		t.Errorf("got %s, %v", text, err)
	}
}

// TestBodyOfTrifles: a body full of what nobody knows makes no large record.
func TestBodyOfTrifles(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var fields strings.Builder
	for i := 0; fields.Len() < longestBody-500; i++ {
		fmt.Fprintf(&fields, `,"%x":0`, i)
	}
	w := s.want(202, "POST", "/v1/jobs", "acme", `{"id":"w","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"x"}`+fields.String()+`}}`)
	if v := viewOf(t, w); len(v.Warnings) != 21 {
		t.Errorf("%d warnings", len(v.Warnings))
	}
}

// TestPanic: a handler that panics is answered for, and says nothing of why.
func TestPanic(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.api.Client = nil
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/jobs/a", nil)
	r.Header.Set("Authorization", "Bearer acme")
	s.api.ServeHTTP(w, r)
	if p := problemOf(t, w); p.Status != 500 || w.Header().Get("X-Request-Id") == "" || strings.Contains(w.Body.String(), "nil pointer") {
		t.Errorf("got %+v, %v", p, w.Header())
	}
}

func FuzzSubmit(f *testing.F) {
	for _, seed := range []string{video("a", ""), `{`, `[]`, `{"id":1}`, `{"body":null,"operation":"face-swap"}`, `{"options":{"notify":{"task":null}}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var q request
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/jobs", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if err := decode(r, &q); err != nil {
			return
		}
		wanted, err := q.of(Caller{Tenant: "acme"}, "")
		if err == nil && wanted.Options.Tenant != "acme" {
			t.Errorf("%q is for %q", body, wanted.Options.Tenant)
		}
	})
}
