package pipeline

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A class says what happens after an error. Waiting is no error: a poll that finds a render
// unfinished is a new task.
type class int

const (
	transient class = iota // again with backoff; costs an attempt
	again                  // again soon, nobody is to blame; costs none
	throttled              // again when the API wants it; costs none
	held                   // again when a person has mended the account; costs none
	permanent              // the job fails
)

// A verdict is an error in the terms of the pipeline.
type verdict struct {
	class         class
	code          string
	message, hint string
	after         time.Duration // throttled, held: when to try again
	ambiguous     bool          // held, but perhaps for this request alone: then age ends it after all
}

// Our own error codes; the API's are passed on as they are.
const (
	codeUnknownOutcome = tasks.UnknownOutcome
	codeClaimed        = "project_claimed" // the API answered with a project of another job
	codeAlreadyStored  = "already_stored"  // a manifest of this job stands in the store
	codeObjectExists   = "object_exists"   // another object stands where a file belongs
	codeRemoteGone     = "remote_gone"     // the project disappeared before it was copied
	codeGaveUp         = "gave_up"         // older than the give-up time
	codeAttempts       = "attempts_used_up"
	codeArchived       = "archived_by_hand" // a person archived the task before it was done
	codeThrottled      = "throttled"
	codeUnauthorized   = "unauthorized"
	codeCredits        = "insufficient_credits"
	codeRefused        = "refused"           // the API said no without a code
	codeAmbiguous      = "ambiguous_outputs" // two files that can't be told apart
	codeUnconfirmed    = "unconfirmed"       // no replica of Redis confirms the mark of a purchase
	codeRedirected     = "redirected"        // the API is elsewhere
	codeRenderFailed   = "unknown_error"     // the API's own word for a render that failed for no known reason
	codeInputRefused   = "input_refused"     // an s3:// input that no worker may read, or that can't be uploaded
	codeInputMissing   = "input_missing"     // an s3:// input that is not there
	codeVersion        = "later_version"     // written by a later version of Hourglass
	codeWindow         = tasks.WindowFull    // as many projects render as may
	codeTrouble        = "trouble"           // network, API or store does not work
)

// failure is an error of a stage that knows its verdict.
type failure struct{ verdict }

func (f *failure) Error() string { return f.code + ": " + f.message }

// stop is a permanent failure that a stage found out by itself.
func stop(code, hint, format string, a ...any) error {
	return &failure{verdict{class: permanent, code: code, hint: hint, message: fmt.Sprintf(format, a...)}}
}

// classify is the only place that tells the classes apart.
func classify(stage tasks.Stage, err error) verdict {
	var known *failure
	var answer *magichour.Error
	switch {
	case errors.As(err, &known):
		return known.verdict
	case errors.As(err, &answer):
		return classifyAnswer(stage, answer)
	case errors.Is(err, records.ErrUnconfirmed):
		return verdict{class: held, code: codeUnconfirmed, message: err.Error(), hint: "see to the replicas of Redis; the job goes on by itself", after: 15 * time.Second}
	case errors.Is(err, magichour.ErrNoKey):
		return verdict{class: held, code: codeUnauthorized, message: err.Error(), hint: hintKey, after: time.Minute}
	case errors.Is(err, tasks.ErrVersion):
		return verdict{class: held, code: codeVersion, message: err.Error(), hint: "upgrade the workers", after: time.Minute}
	case errors.Is(err, storage.ErrExists):
		return verdict{class: permanent, code: codeObjectExists, message: err.Error(), hint: hintObjectExists}
	}
	return verdict{class: transient, code: codeTrouble, message: magichour.Redact(err.Error()), hint: hintTrouble}
}

const (
	hintTrouble      = "see whether the API, the store and the network between work"
	hintObjectExists = "the project is paid for and kept at Magic Hour: fetch its files by hand. A new id buys again; choose one that is free, or submit with overwrite from the start"
	hintKey          = "give the workers a valid MAGIC_HOUR_API_KEY; the job goes on by itself"
	hintCredits      = "buy credits; the job goes on by itself"
	hintAmbiguous    = "buy credits, or see whether this request is in the plan; the job goes on by itself"
)

func classifyAnswer(stage tasks.Stage, e *magichour.Error) verdict {
	v := verdict{class: transient, code: e.Code, message: e.Error(), hint: hintTrouble}
	if v.code == "" {
		v.code = codeRefused
	}
	switch {
	case e.Status == http.StatusTooManyRequests:
		v.class, v.code, v.after, v.hint = throttled, codeThrottled, max(e.RetryAfter, 5*time.Second), "the job goes on by itself"
	case e.Status >= 300 && e.Status < 400:
		v.class, v.code, v.after, v.hint = held, codeRedirected, time.Minute, "set MAGIC_HOUR_BASE_URL to where the API is; the job goes on by itself"
	case e.Status == http.StatusUnauthorized:
		v.class, v.code, v.after, v.hint = held, codeUnauthorized, time.Minute, hintKey
	case e.Status == http.StatusPaymentRequired && e.Code == codeCredits:
		v.class, v.code, v.after, v.hint = held, codeCredits, time.Minute, hintCredits
	case stage != tasks.StageCreate:
		// What is paid for is not given up because of one answer.
	case e.Status == http.StatusPaymentRequired && e.Code == "":
		v.class, v.code, v.after, v.hint, v.ambiguous = held, codeCredits, time.Minute, hintAmbiguous, true
	case e.Status == http.StatusRequestTimeout:
		// It says nothing of the request.
	case e.Status < 500:
		v.class, v.hint = permanent, "if it is the plan, mend that and enqueue retry; if it is the request, submit a better one under a new id. Nothing was charged"
	}
	return v
}

// refusesRequest reports whether an answer is about what the request says, rather than about who may ask.
func refusesRequest(err error) bool {
	var answer *magichour.Error
	return errors.As(err, &answer) && slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}, answer.Status)
}

// certainlyNotCharged tells what an error of a create means for the purchase. 502 before an id
// means by the API's documentation that no project exists; 503 is taken to say the same.
func certainlyNotCharged(err error) bool {
	var answer *magichour.Error
	if errors.As(err, &answer) {
		switch answer.Status {
		case http.StatusBadGateway, http.StatusServiceUnavailable:
			return true
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			return true // it was sent elsewhere; any other redirect may follow a deed
		case http.StatusRequestTimeout:
			return false
		}
		return answer.Status >= 400 && answer.Status < 500
	}
	var lost *magichour.TransportError
	return errors.As(err, &lost) && !lost.Written
}

// A setback tells the queue why a task is to be run again, and when.
type setback struct {
	class class
	code  string
	after time.Duration // 0: by the number of tries
	turn  bool          // after is when it is its turn, and no earlier
	text  string
}

// Error is shown in Asynqmon as Last Error.
func (s *setback) Error() string {
	switch s.class {
	case again:
		return "waiting: " + s.text
	case throttled:
		return "throttled: " + s.text
	case held:
		return "held: " + s.text
	}
	return s.text
}

// archived makes Asynq archive the task, with the reason as its error.
func archived(reason string) error { return &dead{reason} }

type dead struct{ reason string }

func (d *dead) Error() string        { return d.reason }
func (d *dead) Is(target error) bool { return target == asynq.SkipRetry }

// costsAttempt tells Asynq which errors count as failures.
func costsAttempt(err error) bool {
	var s *setback
	return !errors.As(err, &s) || s.class == transient
}

const (
	leastAttempts  = 3 // before age alone ends a job: the fleet may have been down for a day
	longestBackoff = 2 * time.Hour
	// A create that was never made costs nothing to try, and somebody is waiting for it to begin.
	longestCreateBackoff = 10 * time.Minute
)

// retryDelay tells Asynq when to run a task again: 1, 2, 4, ... seconds later, up to two hours, at which
// 25 attempts take at least 24 hours; a create at least every ten minutes. The jitter only adds.
func retryDelay(retried int, err error, task *asynq.Task) time.Duration {
	var s *setback
	if errors.As(err, &s) && s.turn {
		return s.after + time.Second // Asynq knows whole seconds only, and would come before it
	}
	if errors.As(err, &s) && s.after > 0 {
		return jitter(s.after, string(task.Payload()), retried)
	}
	backoff := longestBackoff
	if task.Type() == tasks.StageCreate.Type() {
		backoff = longestCreateBackoff
	}
	if retried < 13 {
		backoff = min(backoff, time.Second<<max(retried, 0))
	}
	return jitter(backoff, string(task.Payload()), retried)
}
