package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	// fresh is how long a look at Redis is shown again: however often a worker is scraped, it asks no more often.
	fresh = 5 * time.Second

	// lookWithin is less than Prometheus waits for an answer: a Redis that is silent must not hide the rest.
	lookWithin = 3 * time.Second
)

// A fleet collects what all workers share. Every worker answers the same, so whoever asks takes the max over them.
type fleet struct {
	pipeline  *pipeline.Pipeline
	inspector *asynq.Inspector
	parts     func() map[string]bool
	log       *slog.Logger
	said      map[string]string // of queues that can't be counted, by the look that is under way

	mu     sync.Mutex
	seen   []prometheus.Metric
	at     time.Time
	err    error
	asking chan struct{} // closed when the look that is under way has ended; nil: none is
}

// Fleet adds what the fleet of a pipeline shares, and what this worker needs: parts says of each, by name, whether
// it was well when it was last asked. Redis is asked here.
func (m *Metrics) Fleet(p *pipeline.Pipeline, rdb redis.UniversalClient, parts func() map[string]bool, log *slog.Logger) {
	m.registry.MustRegister(&fleet{pipeline: p, inspector: asynq.NewInspectorFromRedisClient(rdb), parts: parts, log: log, said: map[string]string{}})
}

var (
	ready     = prometheus.NewDesc("hourglass_ready", "1 if what this worker needs is well: redis as of now, store and api as of the last question to /readyz.", []string{"part"}, nil)
	stageHeld = prometheus.NewDesc("hourglass_stage_held", "1 while the whole fleet is held at a stage, for the reason in code.", []string{"stage", "code"}, nil)
	jobs      = prometheus.NewDesc("hourglass_jobs", "Jobs by state, those that have ended for as long as their records are kept.", []string{"state"}, nil)
	undeleted = prometheus.NewDesc("hourglass_undeleted_projects", "Jobs that are done but for their remote project, whose deletion is tried daily.", nil, nil)
	limit     = prometheus.NewDesc("hourglass_window_limit", "HOURGLASS_MAX_RENDERS of this worker; 0: any number.", nil, nil)
	used      = prometheus.NewDesc("hourglass_window_used", "Slots of the window of renders in use.", nil, nil)
	waiting   = prometheus.NewDesc("hourglass_window_waiting", "Jobs that wait for a slot of the window of renders.", nil, nil)
	braked    = prometheus.NewDesc("hourglass_api_braked", "1 while the fleet goes slowly because the API has said 429.", nil, nil)

	overdue = prometheus.NewDesc("hourglass_queue_overdue_seconds", "By how long the most overdue scheduled or retried task of a queue is past its time: nobody serves the queue.", []string{"queue"}, nil)

	// The names of Asynq's own exporter: Asynqmon asks Prometheus for these.
	queueTasks     = prometheus.NewDesc("asynq_tasks_enqueued_total", "Tasks by queue and state.", []string{"queue", "state"}, nil)
	queueSize      = prometheus.NewDesc("asynq_queue_size", "Tasks in a queue.", []string{"queue"}, nil)
	queueLatency   = prometheus.NewDesc("asynq_queue_latency_seconds", "How long the oldest pending task of a queue has waited for a handler.", []string{"queue"}, nil)
	queueMemory    = prometheus.NewDesc("asynq_queue_memory_usage_approx_bytes", "Memory of Redis that a queue takes, judged by samples.", []string{"queue"}, nil)
	queueProcessed = prometheus.NewDesc("asynq_tasks_processed_total", "Tasks that were processed, whether or not they failed, by queue.", []string{"queue"}, nil)
	queueFailed    = prometheus.NewDesc("asynq_tasks_failed_total", "Tasks that have failed, by queue.", []string{"queue"}, nil)
	queuePaused    = prometheus.NewDesc("asynq_queue_paused_total", "1 if a queue is paused.", []string{"queue"}, nil)
)

// Describe is for Prometheus.
func (*fleet) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		ready, stageHeld, jobs, undeleted, limit, used, waiting, braked, overdue,
		queueTasks, queueSize, queueLatency, queueMemory, queueProcessed, queueFailed, queuePaused,
	} {
		c <- d
	}
}

// Collect is for Prometheus.
func (f *fleet) Collect(c chan<- prometheus.Metric) {
	seen, err := f.look()
	for _, metric := range seen {
		c <- metric
	}
	c <- gauge(ready, truth(err == nil), "redis")
	for part, well := range f.parts() {
		if part != "redis" {
			c <- gauge(ready, truth(well), part)
		}
	}
}

// look returns what was seen a moment ago, or looks anew. A look that takes too long goes on without whoever
// asked, and one at a time is under way.
func (f *fleet) look() ([]prometheus.Metric, error) {
	f.mu.Lock()
	if !f.at.IsZero() && time.Since(f.at) < fresh {
		defer f.mu.Unlock()
		return f.seen, f.err
	}
	if f.asking == nil {
		f.asking = make(chan struct{})
		go f.ask(f.asking)
	}
	asking := f.asking
	f.mu.Unlock()
	select {
	case <-asking:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.seen, f.err
	case <-time.After(lookWithin):
		return nil, fmt.Errorf("no answer of Redis within %s", lookWithin)
	}
}

func (f *fleet) ask(asked chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	seen, err := f.collect(ctx)
	if err != nil {
		f.log.DebugContext(ctx, "the fleet can't be counted", "reason", err)
		seen = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.err, f.at, f.asking = seen, err, time.Now(), nil
	close(asked)
}

func (f *fleet) collect(ctx context.Context) ([]prometheus.Metric, error) {
	holds, err := f.pipeline.Holds().All(ctx)
	if err != nil {
		return nil, err
	}
	slow, err := f.pipeline.Braked(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := f.pipeline.Jobs(ctx)
	if err != nil {
		return nil, err
	}
	left, err := f.pipeline.Undeleted(ctx)
	if err != nil {
		return nil, err
	}
	window, err := f.pipeline.Window(ctx)
	if err != nil {
		return nil, err
	}
	seen := append(held(holds), gauge(braked, truth(slow)), gauge(undeleted, float64(left)),
		gauge(limit, float64(window.Limit)), gauge(used, float64(window.Used)), gauge(waiting, float64(window.Waiting)))
	for state, n := range counts {
		seen = append(seen, gauge(jobs, float64(n), string(state)))
	}
	queues, err := f.inspector.Queues()
	if err != nil {
		return nil, err
	}
	for _, stage := range tasks.Served() {
		if slices.Contains(queues, stage.Queue()) { // else no task and no worker has used it yet
			seen = append(seen, f.queue(ctx, stage.Queue())...)
		}
	}
	return seen, nil
}

// held shows the holds of the fleet, each once: of a later version there may be several that are other.
func held(holds []pipeline.StageHold) []prometheus.Metric {
	var seen []prometheus.Metric
	shown := map[[2]string]bool{}
	for _, h := range holds {
		stage, code := string(h.Stage), h.Code
		if !slices.Contains(tasks.Stages(), h.Stage) {
			stage = other
		}
		if !slices.Contains(pipeline.HoldCodes(), code) {
			code = other
		}
		if labels := [2]string{stage, code}; !shown[labels] {
			shown[labels] = true
			seen = append(seen, gauge(stageHeld, 1, stage, code))
		}
	}
	return seen
}

// queue shows one queue. One that can't be counted, of which a failover has left half, does not hide the others.
func (f *fleet) queue(ctx context.Context, name string) []prometheus.Metric {
	info, err := f.inspector.GetQueueInfo(name)
	var late time.Duration
	if err == nil {
		late, err = f.overdue(name)
	}
	if err != nil {
		if f.said[name] != err.Error() {
			f.said[name] = err.Error()
			f.log.WarnContext(ctx, "a queue can't be counted: its metrics are missing", "queue", name, "reason", err)
		}
		return nil
	}
	delete(f.said, name)
	seen := []prometheus.Metric{
		gauge(queueSize, float64(info.Size), name),
		gauge(queueLatency, info.Latency.Seconds(), name),
		gauge(queueMemory, float64(info.MemoryUsage), name),
		gauge(queuePaused, truth(info.Paused), name),
		gauge(overdue, late.Seconds(), name),
		prometheus.MustNewConstMetric(queueProcessed, prometheus.CounterValue, float64(info.ProcessedTotal), name),
		prometheus.MustNewConstMetric(queueFailed, prometheus.CounterValue, float64(info.FailedTotal), name),
	}
	for state, n := range map[string]int{
		"active": info.Active, "pending": info.Pending, "scheduled": info.Scheduled, "retry": info.Retry, "archived": info.Archived, "completed": info.Completed,
	} {
		seen = append(seen, gauge(queueTasks, float64(n), name, state))
	}
	return seen
}

// overdue is how far the task that is to run first is past its time. Only the workers of a queue bring it to its
// handlers: where there are none, nothing of it is pending either.
func (f *fleet) overdue(name string) (most time.Duration, err error) {
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){f.inspector.ListScheduledTasks, f.inspector.ListRetryTasks} {
		first, err := list(name, asynq.PageSize(1))
		if err != nil {
			return 0, err
		}
		if len(first) > 0 {
			most = max(most, time.Since(first[0].NextProcessAt))
		}
	}
	return most, nil
}

func gauge(d *prometheus.Desc, value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
