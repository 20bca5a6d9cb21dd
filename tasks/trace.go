package tasks

import (
	"context"
	"regexp"
)

// The headers of a task that say which trace it belongs to, as https://www.w3.org/TR/trace-context has them.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"
)

// A Trace is where the spans of a job belong. It is no part of the request: the same request under another trace is
// the same job.
type Trace struct {
	Parent string `json:"traceparent,omitempty"` // the span that asked for the job, as W3C has it; of one without it, the create that bought it
	State  string `json:"tracestate,omitempty"`
	Create string `json:"create,omitempty"` // the span that bought it, to which those of later tasks are linked
}

// validParent is a W3C traceparent. An id of zeros alone is none, which is left to whoever makes spans.
var validParent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// longestState is how much of a tracestate must be carried on, in bytes.
const longestState = 512

// traceOf reads the headers of a task, or of whatever else carries W3C headers. What is no traceparent is left out:
// strangers write headers, and the record keeps them.
func traceOf(headers map[string]string) Trace {
	t := Trace{Parent: headers[traceParent], State: headers[traceState]}
	if !validParent.MatchString(t.Parent) {
		return Trace{}
	}
	if len(t.State) > longestState {
		t.State = ""
	}
	return t
}

// Headers are those of a task that belongs to the trace. They are never nil, so that whoever enqueues the task can add to
// them.
func (t Trace) Headers() map[string]string {
	headers := map[string]string{}
	if t.Parent != "" {
		headers[traceParent] = t.Parent
	}
	if t.State != "" {
		headers[traceState] = t.State
	}
	return headers
}

// A ClientOption is a setting of a Client.
type ClientOption func(*Client)

// WithTrace lets the spans of the workers stand below the one that submits. Headers returns the W3C headers of a
// context, traceparent and tracestate; with OpenTelemetry:
//
//	func(ctx context.Context) map[string]string {
//		headers := propagation.MapCarrier{}
//		propagation.TraceContext{}.Inject(ctx, headers)
//		return headers
//	}
func WithTrace(headers func(context.Context) map[string]string) ClientOption {
	return func(c *Client) { c.trace = func(ctx context.Context) Trace { return traceOf(headers(ctx)) } }
}
