package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A service is the API with tokens of two tenants, of one who may do nothing, and of an operator. Each token's text
// is its name. Whatever it answers is held against openapi.json.
type service struct {
	t      *testing.T
	rdb    *redis.Client
	client *tasks.Client
	api    *API
	tokens string // the file
	day    time.Time
}

func newService(t *testing.T) *service {
	t.Helper()
	return newServiceOn(t, miniredis.RunT(t).Addr())
}

func newServiceOn(t *testing.T, addr string) *service {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() })
	s := &service{t: t, rdb: rdb, client: tasks.NewClient(rdb), tokens: filepath.Join(t.TempDir(), "tokens.json"), day: time.Now()}
	poor := 100
	for _, c := range []Caller{
		{Name: "acme", Tenant: "acme", Scopes: Scopes()}, {Name: "rival", Tenant: "rival", Scopes: Scopes()},
		{Name: "nothing", Tenant: "acme", Scopes: []Scope{}}, {Name: "boss", Tenant: Everyone, Scopes: Scopes()},
		{Name: "poor", Tenant: "acme", Scopes: Scopes(), CreditsPerDay: &poor},
	} {
		if err := c.Add(s.tokens, c.Name); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.DiscardHandler)
	known, err := OpenTokens(s.tokens, log)
	if err != nil {
		t.Fatal(err)
	}
	s.api = New(Config{Client: s.client, Records: records.New(rdb), Tokens: known, Log: log, Now: func() time.Time { return s.day }})
	return s
}

// ask sends a request with a token, and holds the answer against the document.
func (s *service) ask(method, path, token, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	if err := documented(method, path, w); err != nil {
		s.t.Errorf("%s %s: %v\n%s", method, path, err, w.Body)
	}
	return w
}

// want is ask, and demands a status.
func (s *service) want(status int, method, path, token, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	s.t.Helper()
	w := s.ask(method, path, token, body, change...)
	if w.Code != status {
		s.t.Errorf("%s %s as %q: got %d, want %d: %s", method, path, token, w.Code, status, w.Body)
	}
	return w
}

// change changes the record of a job, as a worker would.
func (s *service) change(id string, change func(*tasks.Job)) {
	s.t.Helper()
	store := records.New(s.rdb)
	data, rev, err := store.Load(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	job, err := tasks.DecodeJob(data)
	if err != nil {
		s.t.Fatal(err)
	}
	before := job.State
	change(job)
	text, err := job.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	_, entered := store.Enter(s.t.Context(), string(job.State), id)
	_, saved := store.Save(s.t.Context(), id, text, rev, 0)
	var left error
	if before != job.State {
		left = store.Exit(s.t.Context(), string(before), id, records.Moment(time.Now().Add(time.Hour).UnixMicro()))
	}
	if err := errors.Join(entered, saved, left); err != nil {
		s.t.Fatal(err)
	}
}

func video(id, more string) string {
	return `{"id":"` + id + `","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"x"}}` + more + `}`
}

func viewOf(t *testing.T, w *httptest.ResponseRecorder) tasks.View {
	t.Helper()
	var v tasks.View
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return v
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%v, %s: %s", err, w.Header().Get("Content-Type"), w.Body)
	}
	return p
}

// openapi is what the tests need of the document.
type openapi struct {
	Paths map[string]map[string]json.RawMessage
}

type operationOf struct {
	Responses map[string]struct {
		Content map[string]struct{ Schema json.RawMessage }
	}
}

var parsed = sync.OnceValue(func() openapi {
	var d openapi
	if err := json.Unmarshal(document, &d); err != nil {
		panic(err)
	}
	return d
})

// produced are the answers that the tests have seen: "POST /v1/jobs 202".
var produced sync.Map

// documented holds an answer against the document.
func documented(method, path string, w *httptest.ResponseRecorder) error {
	pattern := patternOf(path)
	text, known := parsed().Paths[pattern][strings.ToLower(method)]
	if !known {
		if w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed {
			return checkAs("#/components/schemas/Problem", w.Body.Bytes())
		}
		return errors.New("is not in the document")
	}
	var o operationOf
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	status := jsonNumber(w.Code)
	said, known := o.Responses[status]
	if !known {
		return errors.New("answers " + status + ", which the document does not have")
	}
	produced.Store(method+" "+pattern+" "+status, true)
	for kind, content := range said.Content {
		if !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			return errors.New("is of type " + w.Header().Get("Content-Type") + ", not " + kind)
		}
		if strings.HasSuffix(kind, "json") {
			at := "#/paths/" + strings.ReplaceAll(pattern, "/", "~1") + "/" + strings.ToLower(method) + "/responses/" + status + "/content/" + strings.ReplaceAll(kind, "/", "~1") + "/schema"
			if len(content.Schema) > 0 {
				return checkAs(at, w.Body.Bytes())
			}
		}
	}
	return nil
}

func jsonNumber(n int) string { text, _ := json.Marshal(n); return string(text) }

// patternOf is the path of the document that takes a path.
func patternOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for pattern := range parsed().Paths {
		has := strings.Split(pattern, "/")
		same := len(has) == len(parts)
		for i := 0; same && i < len(has); i++ {
			same = has[i] == parts[i] || strings.HasPrefix(has[i], "{") && parts[i] != "openapi.json"
		}
		if same {
			return pattern
		}
	}
	return path
}

var schemas = struct {
	sync.Mutex
	compiled map[string]*jsonschema.Schema
}{compiled: map[string]*jsonschema.Schema{}}

func checkAs(pointer string, text []byte) error {
	schemas.Lock()
	defer schemas.Unlock()
	schema := schemas.compiled[pointer]
	if schema == nil {
		whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return err
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("openapi.json", whole); err != nil {
			return err
		}
		if schema, err = c.Compile("openapi.json" + pointer); err != nil {
			return err
		}
		schemas.compiled[pointer] = schema
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// TestMain makes sure that the document promises nothing that the tests have not seen.
func TestMain(m *testing.M) {
	records.Quiet()
	code := m.Run()
	if code == 0 && !someTests() {
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"), goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")); err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error()+"\n")
			code = 1
		}
		for _, missing := range unseen() {
			_, _ = io.WriteString(os.Stderr, "openapi.json promises what no test has seen: "+missing+"\n")
			code = 1
		}
	}
	os.Exit(code)
}

// someTests reports whether -run leaves tests out.
func someTests() bool {
	for _, arg := range os.Args {
		if strings.HasPrefix(arg, "-test.run") && arg != "-test.run=" || strings.HasPrefix(arg, "-test.fuzz=") || strings.HasPrefix(arg, "-test.bench=") {
			return true
		}
	}
	return false
}

func unseen() (missing []string) {
	for pattern, methods := range parsed().Paths {
		for method, text := range methods {
			if method == "parameters" {
				continue
			}
			var o operationOf
			if err := json.Unmarshal(text, &o); err != nil {
				return []string{err.Error()}
			}
			for status := range o.Responses {
				key := strings.ToUpper(method) + " " + pattern + " " + status
				if _, seen := produced.Load(key); !seen {
					missing = append(missing, key)
				}
			}
		}
	}
	return missing
}
