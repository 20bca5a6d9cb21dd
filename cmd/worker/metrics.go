package main

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-290c2414/hourglass/internal/pipeline"
)

// metrics answers what Prometheus asks: what this process needs, and, read from Redis at that moment, where
// the fleet stands. Every worker answers the same of the fleet, so a dashboard takes the max over them.
func metrics(p *pipeline.Pipeline) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), fleet{p})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// fleet collects what all workers share.
type fleet struct{ pipeline *pipeline.Pipeline }

var (
	stageHeld = prometheus.NewDesc("hourglass_stage_held", "1 while the whole fleet is held at a stage, for the reason in code.", []string{"stage", "code"}, nil)
	jobs      = prometheus.NewDesc("hourglass_jobs", "Jobs by state, those that have ended for as long as their records are kept.", []string{"state"}, nil)

	windowLimit   = prometheus.NewDesc("hourglass_window_limit", "HOURGLASS_MAX_RENDERS of this worker; 0: none.", nil, nil)
	windowUsed    = prometheus.NewDesc("hourglass_window_used", "Slots in use of HOURGLASS_MAX_RENDERS.", nil, nil)
	windowWaiting = prometheus.NewDesc("hourglass_window_waiting", "Jobs that wait for a slot of HOURGLASS_MAX_RENDERS.", nil, nil)
)

// Describe is for Prometheus.
func (fleet) Describe(c chan<- *prometheus.Desc) {
	c <- stageHeld
	c <- jobs
	c <- windowLimit
	c <- windowUsed
	c <- windowWaiting
}

// Collect is for Prometheus.
func (f fleet) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askRedisFor)
	defer cancel()
	holds, err := f.pipeline.Holds().All(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(stageHeld, err)
		return
	}
	for _, h := range holds {
		c <- prometheus.MustNewConstMetric(stageHeld, prometheus.GaugeValue, 1, string(h.Stage), h.Code)
	}
	counts, err := f.pipeline.Jobs(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(jobs, err)
		return
	}
	for state, n := range counts {
		c <- prometheus.MustNewConstMetric(jobs, prometheus.GaugeValue, float64(n), string(state))
	}
	window, err := f.pipeline.Window(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(windowUsed, err)
		return
	}
	for desc, n := range map[*prometheus.Desc]int64{windowLimit: int64(window.Limit), windowUsed: window.Used, windowWaiting: window.Waiting} {
		c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n))
	}
}
