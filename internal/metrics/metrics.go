// Package metrics shows Prometheus what a worker does and where the fleet stands. docs/operations.md explains every
// metric; a test holds that table to this package.
//
// What a worker has done itself is counted as it happens: Metrics is the pipeline's Observer, and wraps the calls
// of the API. What all workers share is read from Redis when Prometheus asks (fleet.go).
//
// Every label has a bounded number of values, whatever callers, the API and other versions write: what is not
// known here is "other".
package metrics

import (
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/tasks"
)

// other stands for every value of a label that is not known here.
const other = "other"

// Metrics are what one worker has to tell. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	kinds    map[string]string // of every operation

	settled  *prometheus.CounterVec
	stages   *prometheus.HistogramVec
	noticed  *prometheus.HistogramVec
	charged  *prometheus.CounterVec
	refunded *prometheus.CounterVec
	copied   prometheus.Counter
	kept     prometheus.Counter
	found    *prometheus.CounterVec
	notified *prometheus.CounterVec
	requests *prometheus.CounterVec
	answers  *prometheus.HistogramVec
}

var _ pipeline.Observer = (*Metrics)(nil)

// Upper bounds in s. Of a stage: from a copy within a rack to a render that is given up.
var (
	stageBounds  = []float64{0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400}
	noticeBounds = []float64{0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800}
	answerBounds = []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}
)

// New returns metrics of which nothing has happened yet.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), kinds: map[string]string{},
		settled:  counters("hourglass_jobs_settled_total", "Jobs that this worker has seen to their end, or parked as unknown.", "operation", "outcome"),
		stages:   histograms("hourglass_stage_seconds", "How long jobs were in a stage that they have passed.", stageBounds, "stage", "kind"),
		noticed:  histograms("hourglass_ready_to_noticed_seconds", "How long complete renders can have been ready at most when they were noticed.", noticeBounds, "kind"),
		charged:  counters("hourglass_credits_charged_total", "Credits charged for projects, estimates of the API until it corrects them.", "operation"),
		refunded: counters("hourglass_credits_refunded_total", "Credits that the API has given back, or corrected its estimates by.", "operation"),
		copied:   prometheus.NewCounter(prometheus.CounterOpts{Name: "hourglass_copied_bytes_total", Help: "Bytes of files that are in the store and proved."}),
		kept:     prometheus.NewCounter(prometheus.CounterOpts{Name: "hourglass_remote_kept_total", Help: "Jobs that are done and whose remote project is kept for good, for a reason in their record."}),
		notified: counters("hourglass_notices_total", "Tries to tell callers of their jobs, by the way and how they ended: sent, retried or given_up.", "way", "result"),
		found:    counters("hourglass_sweeper_found_total", "Jobs that nothing moved any more and that were put back on the road, by what had become of their task.", "task"),
		requests: counters("hourglass_api_requests_total", "Requests to the API and its media hosts, by route and status.", "route", "code"),
		answers:  histograms("hourglass_api_answer_seconds", "Time until the API or a media host began to answer.", answerBounds, "route"),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.settled, m.stages, m.noticed, m.charged, m.refunded, m.copied, m.kept, m.found, m.notified, m.requests, m.answers,
	)
	for _, op := range operations.All() {
		m.kinds[op.Name] = string(op.Kind)
		for _, outcome := range outcomes {
			m.settled.WithLabelValues(op.Name, string(outcome))
		}
	}
	for _, way := range []tasks.Way{tasks.WayURL, tasks.WayTask, tasks.WayStream} {
		for _, how := range []pipeline.Telling{pipeline.Sent, pipeline.Retried, pipeline.GivenUp} {
			m.notified.WithLabelValues(string(way), string(how))
		}
	}
	for _, lost := range pipeline.Losts() {
		m.found.WithLabelValues(string(lost)) // the first one counts as well: a rate needs to have seen the 0
	}
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histograms(name, help string, bounds []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, labels)
}

// Handler answers what Prometheus asks.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// outcomes are what a job may settle as.
var outcomes = []tasks.State{tasks.Done, tasks.Failed, tasks.Canceled, tasks.Unknown}

// stageOf says what a job has come through that leaves a state ahead.
var stageOf = map[tasks.State]string{tasks.Pending: "queue", tasks.Creating: "create", tasks.Rendering: "render", tasks.Storing: "copy", tasks.Cleaning: "delete"}

// Saved counts what a change of a job's record says.
func (m *Metrics) Saved(from, to *tasks.Job) {
	operation, kind := m.known(to.Operation)
	switch paid := to.CreditsCharged - from.CreditsCharged; {
	case paid > 0:
		m.charged.WithLabelValues(operation).Add(float64(paid))
	case paid < 0:
		m.refunded.WithLabelValues(operation).Add(float64(-paid))
	}
	if to.State == from.State || from.DoneAt != nil {
		return // one that is done is opened once more only to delete its project
	}
	if slices.Contains(outcomes, to.State) {
		m.settled.WithLabelValues(operation, string(to.State)).Inc()
	}
	if stage := stageOf[from.State]; stage != "" && ahead(from.State, to.State) {
		m.stages.WithLabelValues(stage, kind).Observe(max(to.StateAt.Sub(from.StateAt), 0).Seconds()) // clocks differ
	}
	if from.StoredAt == nil && to.StoredAt != nil {
		for _, o := range to.Outputs {
			m.copied.Add(float64(o.Size))
		}
	}
	if to.State == tasks.Done && to.Remote != nil && *to.Remote == tasks.RemoteKept {
		m.kept.Inc()
	}
}

// ahead reports whether a step of a job leads towards its good end.
func ahead(from, to tasks.State) bool {
	road := []tasks.State{tasks.Pending, tasks.Creating, tasks.Rendering, tasks.Storing, tasks.Cleaning, tasks.Done}
	return slices.Index(road, to) > slices.Index(road, from)
}

// Noticed counts a render that was found complete.
func (m *Metrics) Noticed(job *tasks.Job, within time.Duration) {
	_, kind := m.known(job.Operation)
	m.noticed.WithLabelValues(kind).Observe(within.Seconds())
}

// Found counts a job that the sweeper has put back on the road.
func (m *Metrics) Found(lost pipeline.Lost) {
	name := other
	if slices.Contains(pipeline.Losts(), lost) {
		name = string(lost)
	}
	m.found.WithLabelValues(name).Inc()
}

// Notified counts a try to tell a caller.
func (m *Metrics) Notified(way tasks.Way, how pipeline.Telling) {
	name := other
	if slices.Contains([]tasks.Way{tasks.WayURL, tasks.WayTask, tasks.WayStream}, way) {
		name = string(way)
	}
	m.notified.WithLabelValues(name, string(how)).Inc()
}

// known returns an operation and its kind as they may stand in a label.
func (m *Metrics) known(operation string) (name, kind string) {
	if kind, found := m.kinds[operation]; found {
		return operation, kind
	}
	return other, other
}
