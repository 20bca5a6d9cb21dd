package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A collector takes traces over OTLP/HTTP, as JSON.
type collector struct {
	url   string
	mu    sync.Mutex
	raw   []string
	spans []span
}

type span struct {
	TraceID, SpanID, ParentSpanID, Name string
	Links                               []struct{ TraceID, SpanID string }
	Service                             string
}

// collect starts a collector and tells the programs of a fleet about it.
func (f *fleet) collect() *collector {
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.URL.Path == "/v1/traces" {
			err = c.take(body)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			f.t.Errorf("%s: %v", r.URL.Path, err)
		}
	}))
	f.t.Cleanup(server.Close)
	c.url = server.URL
	f.env = append(f.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_BSP_SCHEDULE_DELAY=50")
	return c
}

func (c *collector) take(body []byte) error {
	var said struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeSpans []struct{ Spans []span }
		}
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, string(body))
	for _, from := range said.ResourceSpans {
		service := ""
		for _, a := range from.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.StringValue
			}
		}
		for _, scope := range from.ScopeSpans {
			for _, s := range scope.Spans {
				s.Service = service
				for _, id := range []*string{&s.TraceID, &s.SpanID, &s.ParentSpanID} {
					*id = strings.ToLower(*id)
				}
				for i := range s.Links {
					s.Links[i].SpanID = strings.ToLower(s.Links[i].SpanID)
				}
				c.spans = append(c.spans, s)
			}
		}
	}
	return nil
}

func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.raw, "\n")
}

func (c *collector) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// TestTrace: what happens to a job, from the program that calls enqueue to the last byte, is one trace.
func TestTrace(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "1500ms")
	c := f.collect()
	f.env = append(f.env, "TRACEPARENT=00-"+callersTrace+"-"+callersSpan+"-01")
	worker, url := f.startWorker()
	r := request(0)
	if _, stderr, code := f.enqueue("submit", r.Operation, "--id", r.ID, "--body", string(r.Body), "--wait"); code != 0 {
		t.Fatalf("submit: exit %d, %s", code, stderr)
	}
	f.get(url+"/readyz", nil) // asks API and store, on behalf of no job
	job, err := f.client.Job(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	count := func(name string) int { return len(named(c.all(), name)) }
	f.eventually("all spans have come", func() bool {
		return count("enqueue submit") == 1 && count("hourglass:cleanup") == 1 && count("hourglass:poll") == job.Polls
	})
	for _, s := range c.all() {
		if s.TraceID != callersTrace {
			t.Errorf("%s is of another trace: %+v", s.Name, s)
		}
	}
	if diff := cmp.Diff(wantTree(), tree(c.all())); diff != "" {
		t.Errorf("spans by their parent (-want +got):\n%s", diff)
	}
	create := named(c.all(), "hourglass:create")[0]
	for _, name := range []string{"hourglass:poll", "hourglass:download", "hourglass:cleanup"} {
		for _, s := range named(c.all(), name) {
			if len(s.Links) != 1 || s.Links[0].SpanID != create.SpanID {
				t.Errorf("%s is linked to %v, want the create %s", name, s.Links, create.SpanID)
			}
		}
	}
	if line := worker.find(`"msg":"storing"`); !strings.Contains(line, `"trace_id":"`+callersTrace+`"`) {
		t.Errorf("the log does not name the trace: %s", line)
	}
	f.checkSecrets()
}

// tree says of each span, once, who made it and below which one.
func tree(spans []span) []string {
	names := map[string]string{callersSpan: "caller"}
	for _, s := range spans {
		names[s.SpanID] = s.Name
	}
	var all []string
	for _, s := range spans {
		all = append(all, strings.TrimPrefix(s.Service, "hourglass-")+": "+names[s.ParentSpanID]+" > "+s.Name)
	}
	slices.Sort(all)
	// Whether the bucket is there is asked when nobody has seen it for a while.
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s == "worker: hourglass:create > S3/GetObject" })
}

func wantTree() []string {
	want := []string{
		"enqueue: caller > enqueue submit",
		"worker: enqueue submit > hourglass:create",
		"worker: enqueue submit > hourglass:poll",
		"worker: enqueue submit > hourglass:download",
		"worker: enqueue submit > hourglass:cleanup",
		"worker: hourglass:create > S3/HeadObject",
		"worker: hourglass:create > POST /v1/text-to-video",
		"worker: hourglass:poll > GET /v1/video-projects/{id}",
		"worker: hourglass:download > GET /v1/video-projects/{id}",
		"worker: hourglass:download > GET media",
		"worker: hourglass:download > S3/HeadObject",
		"worker: hourglass:download > S3/PutObject",
		"worker: hourglass:download > S3/ListMultipartUploads",
		"worker: hourglass:cleanup > S3/HeadObject",
		"worker: hourglass:cleanup > S3/GetObject",
		"worker: hourglass:cleanup > GET /v1/video-projects/{id}",
		"worker: hourglass:cleanup > DELETE /v1/video-projects/{id}",
	}
	slices.Sort(want)
	return want
}

func named(spans []span, name string) []span {
	return slices.DeleteFunc(slices.Clone(spans), func(s span) bool { return s.Name != name })
}

// TestTraceIsCarried: where nobody is told to send spans, none are, and the job's trace goes with it all the same, for
// the services that do.
func TestTraceIsCarried(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "--render", "10ms")
	c := f.collect()
	f.env = append(f.env, "OTEL_TRACES_EXPORTER=none", "TRACEPARENT=00-"+callersTrace+"-"+callersSpan+"-01")
	f.startWorker()
	r := request(2)
	if _, stderr, code := f.enqueue("submit", r.Operation, "--id", r.ID, "--body", string(r.Body), "--wait"); code != 0 {
		t.Fatalf("submit: exit %d, %s", code, stderr)
	}
	job, err := f.client.Job(t.Context(), r.ID)
	if want := (tasks.Trace{Parent: "00-" + callersTrace + "-" + callersSpan + "-01"}); err != nil || job.Trace != want {
		t.Errorf("the record says %+v, %v; want %+v", job.Trace, err, want)
	}
	if task, err := f.inspector.GetTaskInfo("hourglass-cleanup", r.ID+":cleanup"); err != nil || task.Headers["traceparent"] != job.Trace.Parent {
		t.Errorf("the last task says %+v, %v", task, err)
	}
	if got := c.text(); got != "" {
		t.Errorf("the collector has got %s", got)
	}
}
