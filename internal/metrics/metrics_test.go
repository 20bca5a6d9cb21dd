package metrics

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

func TestMain(m *testing.M) {
	records.Quiet()
	goleak.VerifyTestMain(m)
}

// samples are all series of m as they are written, without those of Go and of the process.
func samples(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", answer.Code, answer.Body)
	}
	found := map[string]string{}
	for line := range strings.Lines(answer.Body.String()) {
		if series, value, isSample := strings.Cut(strings.TrimSpace(line), "} "); isSample && !strings.HasPrefix(line, "#") {
			found[series+"}"] = value
		} else if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, "hourglass_") {
			found[name] = value
		}
	}
	return found
}

// job is one of an operation in a state.
func job(operation string, state tasks.State) *tasks.Job {
	return &tasks.Job{Status: tasks.Status{ID: "job", Operation: operation, State: state}, StateAt: time.Unix(1_700_000_000, 0)}
}

// next is a job a while later, in another state.
func next(from *tasks.Job, state tasks.State, after time.Duration) *tasks.Job {
	to := from.Clone()
	to.State, to.StateAt = state, from.StateAt.Add(after)
	return to
}

func TestSaved(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	charged := func(j *tasks.Job, credits int) *tasks.Job { j.CreditsCharged = credits; return j }
	stored := func(j *tasks.Job) *tasks.Job {
		j.StoredAt, j.Outputs = &at, []tasks.Output{{Size: 5}, {Size: 7}}
		return j
	}
	const swap, video = `operation="face-swap"`, `kind="video"`
	kept := tasks.RemoteKept
	rendering, storing, cleaning := job("face-swap", tasks.Rendering), job("face-swap", tasks.Storing), stored(job("face-swap", tasks.Cleaning))
	again := next(cleaning, tasks.Cleaning, 0)
	again.DoneAt = &at
	keptDone := next(cleaning, tasks.Done, time.Second)
	keptDone.Remote = &kept
	tests := []struct {
		name     string
		from, to *tasks.Job
		want     map[string]string
	}{
		{"a purchase begins", job("face-swap", tasks.Pending), next(job("face-swap", tasks.Pending), tasks.Creating, 3*time.Second), map[string]string{`hourglass_stage_seconds_sum{` + video + `,stage="queue"}`: "3"}},
		{"bought", job("face-swap", tasks.Creating), charged(next(job("face-swap", tasks.Creating), tasks.Rendering, time.Second), 40), map[string]string{`hourglass_stage_seconds_sum{` + video + `,stage="create"}`: "1", `hourglass_credits_charged_total{` + swap + `}`: "40"}},
		{"given back", job("face-swap", tasks.Creating), next(job("face-swap", tasks.Creating), tasks.Pending, time.Second), nil},
		{"parked", job("face-swap", tasks.Creating), next(job("face-swap", tasks.Creating), tasks.Unknown, time.Second), map[string]string{`hourglass_jobs_settled_total{` + swap + `,outcome="unknown"}`: "1"}},
		{"still rendering, and cheaper", charged(job("face-swap", tasks.Rendering), 40), charged(next(rendering, tasks.Rendering, 0), 30), map[string]string{`hourglass_credits_refunded_total{` + swap + `}`: "10"}},
		{"rendered, by a clock that is behind", rendering, next(rendering, tasks.Storing, -time.Second), map[string]string{`hourglass_stage_seconds_sum{` + video + `,stage="render"}`: "0"}},
		{"failed and refunded", charged(job("face-swap", tasks.Rendering), 40), charged(next(rendering, tasks.Failed, time.Minute), 0), map[string]string{`hourglass_jobs_settled_total{` + swap + `,outcome="failed"}`: "1", `hourglass_credits_refunded_total{` + swap + `}`: "40"}},
		{"copied", storing, stored(next(storing, tasks.Cleaning, 9*time.Second)), map[string]string{`hourglass_stage_seconds_sum{` + video + `,stage="copy"}`: "9", `hourglass_copied_bytes_total`: "12"}},
		{"done", cleaning, next(cleaning, tasks.Done, time.Second), map[string]string{`hourglass_stage_seconds_sum{` + video + `,stage="delete"}`: "1", `hourglass_jobs_settled_total{` + swap + `,outcome="done"}`: "1"}},
		{"done, but kept", cleaning, keptDone, map[string]string{`hourglass_stage_seconds_sum{` + video + `,stage="delete"}`: "1", `hourglass_jobs_settled_total{` + swap + `,outcome="done"}`: "1", `hourglass_remote_kept_total`: "1"}},
		{"sent back to be copied", cleaning, next(cleaning, tasks.Storing, time.Second), nil},
		{"deleted at last, long after it was done", again, next(again, tasks.Done, time.Hour), nil},
	}
	for _, tt := range tests {
		m := New()
		before := samples(t, m)
		m.Saved(tt.from, tt.to)
		got := map[string]string{}
		for series, value := range samples(t, m) {
			if name, _, _ := strings.Cut(series, "{"); value != before[series] && !strings.HasSuffix(name, "_bucket") && !strings.HasSuffix(name, "_count") && strings.HasPrefix(name, "hourglass_") {
				got[series] = value
			}
		}
		if tt.want == nil {
			tt.want = map[string]string{}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: counted (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRouteOf(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("https://api.example/magic")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ method, url, want string }{
		{"POST", "https://api.example/magic/v1/face-swap", "POST /v1/{operation}"},
		{"GET", "https://api.example/magic/v1/video-projects/cm1", "GET /v1/{kind}-projects/{id}"},
		{"DELETE", "https://api.example/magic/v1/audio-projects/cm1", "DELETE /v1/{kind}-projects/{id}"},
		{"GET", "https://api.example/magic/v1/account", "GET /v1/account"},
		{"POST", "https://api.example/magic/v1/files/upload-urls", "POST /v1/files/upload-urls"},
		{"GET", "https://api.example/magic/v1/secrets/canary", "other"},
		{"GET", "https://media.example/v1/account?signature=canary", "GET media"},
		{"GET", "https://api.example/id/1.mp4?signature=canary", "GET media"},
		{"PUT", "https://uploads.example/canary", "PUT upload"},
		{"CANARY", "https://media.example/", "other"},
	}
	for _, tt := range tests {
		req := httptest.NewRequestWithContext(t.Context(), tt.method, tt.url, nil)
		if got := routeOf(base, req); got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.method, tt.url, got, tt.want)
		}
	}
}

// canary is in everything that strangers send, and may be in nothing that is shown.
const canary = "canary"

// TestLabelsAreBounded: whatever callers, the API, Redis and other versions write, the number of series stays.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m, rdb := onRedis(t)
	statuses := map[int]bool{}
	api := m.API("https://api.example")(roundTripper(func(req *http.Request) (*http.Response, error) {
		status := 100 + len(statuses)%900
		statuses[status] = true
		return &http.Response{StatusCode: status, Body: http.NoBody, Request: req}, nil
	}))
	once := 0
	for round := range 2 {
		for i := range 1000 {
			name := fmt.Sprintf("%s-%d-%d", canary, round, i)
			to := job(name, tasks.State(name))
			to.CreditsCharged = 1
			m.Saved(job(name, tasks.Rendering), to)
			m.Saved(job(name, tasks.Rendering), job(name, tasks.Failed))
			m.Noticed(to, time.Second)
			m.Found(pipeline.Lost(name))
			for _, path := range []string{"https://api.example/v1/" + name, "https://" + name + ".example/?signature=" + name, "https://api.example/v1/video-projects/" + name} {
				resp, err := api.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		}
		if err := rdb.HSet(t.Context(), "hourglass:{fleet}:holds", fmt.Sprint("x/", round), fmt.Sprintf(`{"stage":"%s%d","code":"%[1]s%[2]d"}`, canary, round)).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := asynq.NewClientFromRedisClient(rdb).Enqueue(asynq.NewTask(canary, nil), asynq.Queue(fmt.Sprint(canary, round))); err != nil {
			t.Fatal(err)
		}
		found := samples(t, m)
		for series := range found {
			if strings.Contains(series, canary) {
				t.Fatalf("a stranger's word is a label: %s", series)
			}
		}
		if round == 0 {
			once = len(found)
		} else if len(found) != once || once > 1000 {
			t.Errorf("%d series after as many strange values again, %d before", len(found), once)
		}
	}
}

// onRedis are metrics of a fleet on a real Redis, with a task and a hold.
func onRedis(t *testing.T) (*Metrics, redis.UniversalClient) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(t)})
	t.Cleanup(func() { _ = rdb.Close() })
	m := New()
	p := pipeline.New(nil, nil, nil, rdb, slog.New(slog.DiscardHandler), pipeline.Settings{MaxRenders: 7})
	m.Fleet(p, rdb, func() map[string]bool { return map[string]bool{"store": true, "api": false, "redis": false} }, slog.New(slog.DiscardHandler))
	if _, err := p.Holds().ByHand(t.Context(), tasks.StageCreate, "the budget of today"); err != nil {
		t.Fatal(err)
	}
	if _, err := asynq.NewClientFromRedisClient(rdb).Enqueue(asynq.NewTask("x", nil), asynq.Queue(tasks.StagePoll.Queue())); err != nil {
		t.Fatal(err)
	}
	return m, rdb
}

func TestFleet(t *testing.T) {
	t.Parallel()
	m, rdb := onRedis(t)
	look := func(want map[string]string) {
		t.Helper()
		got := samples(t, m)
		for series, value := range want {
			if got[series] != value {
				t.Errorf("%s is %q, want %q", series, got[series], value)
			}
		}
	}
	want := map[string]string{
		`hourglass_stage_held{code="by_hand",stage="create"}`:                   "1",
		`hourglass_jobs{state="unknown"}`:                                       "0",
		`hourglass_window_limit`:                                                "7",
		`hourglass_api_braked`:                                                  "0",
		`hourglass_undeleted_projects`:                                          "0",
		`hourglass_ready{part="redis"}`:                                         "1",
		`hourglass_ready{part="store"}`:                                         "1",
		`hourglass_ready{part="api"}`:                                           "0",
		`asynq_queue_size{queue="hourglass-poll"}`:                              "1",
		`asynq_tasks_enqueued_total{queue="hourglass-poll",state="pending"}`:    "1",
		`asynq_tasks_enqueued_total{queue="hourglass-cleanup",state="pending"}`: "", // nobody has used it yet
	}
	look(want)
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	look(want) // Redis is not asked at every scrape
}

// TestOverdue: a queue that nobody serves shows it, though nothing of it is pending.
func TestOverdue(t *testing.T) {
	t.Parallel()
	m, rdb := onRedis(t)
	queue := tasks.StagePoll.Queue()
	client := asynq.NewClientFromRedisClient(rdb)
	for _, id := range []string{"late", "later"} {
		if _, err := client.Enqueue(asynq.NewTask("x", nil), asynq.Queue(queue), asynq.TaskID(id), asynq.ProcessIn(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := rdb.ZAdd(t.Context(), "asynq:{"+queue+"}:scheduled", redis.Z{Score: float64(time.Now().Add(-10 * time.Minute).Unix()), Member: "late"}).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := strconv.ParseFloat(samples(t, m)[`hourglass_queue_overdue_seconds{queue="`+queue+`"}`], 64)
	if err != nil || got < 600 || got > 660 {
		t.Errorf("overdue by %v s (%v), want 600", got, err)
	}
}

// TestSilentRedis: a Redis that takes connections and says nothing does not hide what the worker knows itself.
func TestSilentRedis(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	rdb := redis.NewClient(&redis.Options{Addr: silent.Addr().String(), MaxRetries: -1})
	m := New()
	f := &fleet{pipeline: pipeline.New(nil, nil, nil, rdb, slog.New(slog.DiscardHandler), pipeline.Settings{}), inspector: asynq.NewInspectorFromRedisClient(rdb), parts: func() map[string]bool { return nil }, log: slog.New(slog.DiscardHandler), said: map[string]string{}}
	m.registry.MustRegister(f)
	began := time.Now()
	got := samples(t, m)
	if took := time.Since(began); took > lookWithin+5*time.Second || got[`hourglass_ready{part="redis"}`] != "0" || got[`hourglass_copied_bytes_total`] != "0" {
		t.Errorf("after %s: redis is %q", took, got[`hourglass_ready{part="redis"}`])
	}
	_ = rdb.Close()
	f.mu.Lock()
	asking := f.asking
	f.mu.Unlock()
	if asking != nil {
		<-asking
	}
}

// row is one of the table in docs/operations.md: | `name` | type | labels | meaning |.
var row = regexp.MustCompile("(?m)^\\| `((?:hourglass|asynq)_\\w+)` \\| (\\w+) \\| ([^|]*) \\|")

// TestDocumented: docs/operations.md names every metric that is exported, with its type and labels, and no other.
func TestDocumented(t *testing.T) {
	t.Parallel()
	m, _ := onRedis(t)
	m.Saved(job("face-swap", tasks.Rendering), func() *tasks.Job { j := job("face-swap", tasks.Storing); j.CreditsCharged = 1; return j }())
	m.Saved(func() *tasks.Job { j := job("face-swap", tasks.Rendering); j.CreditsCharged = 1; return j }(), job("face-swap", tasks.Rendering))
	m.Noticed(job("face-swap", tasks.Storing), time.Second)
	m.requests.WithLabelValues("", "")
	m.answers.WithLabelValues("")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]string{}
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		if strings.HasPrefix(f.GetName(), "hourglass_") || strings.HasPrefix(f.GetName(), "asynq_") {
			exported[f.GetName()] = strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, ", ")
		}
	}
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, r := range row.FindAllStringSubmatch(string(text), -1) {
		documented[r[1]] = r[2] + " " + r[3]
	}
	if diff := cmp.Diff(exported, documented); diff != "" {
		t.Errorf("metrics (-/metrics +docs/operations.md):\n%s", diff)
	}
}
