package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-290c2414/hourglass/internal/tracing"
	"github.com/seed-290c2414/hourglass/tasks"
)

// How many jobs are on their way at a time. They share round trips, which take milliseconds as a rule.
const (
	defaultConcurrency = 1000
	mostConcurrency    = 10_000
	inFlight           = 4 // blocks that they go in: while one waits for Redis, another is written out
	atOnceWithin       = 30 * time.Second
)

// A fate is what is known of an entry.
type fate byte

const (
	fresh    fate = iota
	existing      // before: nothing is left to do
	accepted      // and printed
	taken         // its id has been, since the check
)

// A submission hands a batch in.
type submission struct {
	*batch
	client *tasks.Client
	atOnce int
	asJSON bool
	stdout io.Writer

	fates []fate // of each entry
	stood int    // entries that were there before
	late  int    // entries whose id was taken since the check
}

// An answer is what came of an entry.
type answer struct {
	entry
	tasks.Submission
}

// A block is some entries on their way.
type block struct {
	before int // the entries before it
	done   chan []answer
	ctx    context.Context //nolint:containedctx // its time is that of the block
	cancel context.CancelFunc
}

// inBlocks calls do for blocks of entries, inFlight at a time, and take for what came of each, in their order. A block that
// does not come in time, or before ctx ends, is taken without answers, and the cause. After take has failed, no
// block is begun. What is out when ctx ends is not waited for: round trips don't heed it.
func (s *submission) inBlocks(ctx context.Context, do func(ctx context.Context, before int, entries []entry) []answer, take func(b block, answers []answer, cause error) error) error {
	going, stop := context.WithCancel(ctx)
	defer stop()
	blocks := make(chan block, inFlight-2) // besides the one that is taken and the one that waits to be put in
	var trouble error
	go func() {
		defer close(blocks)
		trouble = s.spool.blocks(max(s.atOnce/inFlight, 1), func(before int, entries []entry) error {
			if going.Err() != nil {
				return going.Err()
			}
			b := block{before: before, done: make(chan []answer, 1)}
			b.ctx, b.cancel = context.WithTimeoutCause(ctx, atOnceWithin, errSlow)
			go func() { b.done <- do(b.ctx, b.before, entries) }()
			blocks <- b
			return nil
		})
	}()
	var first error
	for b := range blocks {
		answers, cause := b.wait()
		b.cancel()
		if err := take(b, answers, cause); err != nil && first == nil {
			first = err
			stop()
		}
	}
	if first == nil && ctx.Err() != nil {
		first = context.Cause(ctx)
	}
	if first == nil {
		first = trouble
	}
	return first
}

// wait returns the answers, or why there are none.
func (b block) wait() ([]answer, error) {
	select {
	case answers := <-b.done:
		return answers, nil
	case <-b.ctx.Done():
	}
	select { // they may have come in time, and waited for whoever reads the ids
	case answers := <-b.done:
		return answers, nil
	default:
		return nil, context.Cause(b.ctx)
	}
}

// withFiles puts what is known of local files by now into an entry that names some.
func (b *batch) withFiles(e entry) error {
	if len(e.Given) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	body, _, err := b.local.standIn(e.Job.Operation, e.Given)
	if err == nil {
		e.Job.Body, err = tasks.Canonical(body)
	}
	return err
}

// checkIDs finds the lines whose id is taken by another request, and those whose jobs stand already.
func (s *submission) checkIDs(ctx context.Context) error {
	s.fates = make([]fate, s.spool.lines)
	if s.unnamed == s.spool.lines {
		return nil
	}
	takenLines := 0
	err := s.inBlocks(ctx, s.lookAt, func(b block, answers []answer, cause error) error {
		for i, a := range answers {
			switch {
			case errors.Is(a.Err, tasks.ErrExists):
				if takenLines++; takenLines <= mostProblems {
					s.sayTaken(a)
				}
			case a.Err != nil:
				return a.Err
			case a.Whole:
				s.fates[b.before+i] = existing
			}
		}
		return cause
	})
	switch {
	case err != nil:
		return fmt.Errorf("nothing was enqueued: %w", err)
	case takenLines > mostProblems:
		s.more(takenLines-mostProblems, "lines")
	}
	if takenLines > 0 {
		return fmt.Errorf("%w: %s; nothing was enqueued", tasks.ErrExists, plural(takenLines, "line"))
	}
	return nil
}

// sayTaken says that the id of a line is that of another request.
func (s *submission) sayTaken(a answer) {
	if s.asJSON {
		s.say.object(problem{Line: a.Number, Column: s.form.sheet.columnOf("id"), Path: "id", Message: a.Err.Error()})
		return
	}
	s.say.line("line %d: %v", a.Number, a.Err)
}

func (s *submission) lookAt(ctx context.Context, _ int, entries []entry) []answer {
	return s.only(entries, func(i int) bool { return entries[i].Named }, func(jobs []*tasks.Job) []tasks.Submission {
		found, err := s.client.CheckMany(ctx, jobs)
		if err != nil {
			return []tasks.Submission{{Err: err}} // one says it for all
		}
		return found
	})
}

// only does something with the jobs of some entries; what comes of the others is nothing.
func (s *submission) only(entries []entry, which func(i int) bool, do func([]*tasks.Job) []tasks.Submission) []answer {
	answers := make([]answer, len(entries))
	var jobs []*tasks.Job
	var at []int
	for i, e := range entries {
		if answers[i].entry = e; !which(i) {
			continue
		}
		if answers[i].Err = s.withFiles(e); answers[i].Err == nil {
			jobs, at = append(jobs, e.Job), append(at, i)
		}
	}
	if len(jobs) > 0 {
		for n, what := range do(jobs) {
			answers[at[n]].Submission = what
		}
	}
	return answers
}

// submit enqueues the jobs that don't stand yet, and prints all in the order of their lines. It stops when it is told
// to, when Redis is in trouble, and when an id can't be printed.
func (s *submission) submit(ctx context.Context) error {
	s.progress.begin("submitted", s.spool.lines)
	stop := s.progress.tell(ctx, s.say.stderr)
	printed := 0
	err := s.inBlocks(ctx, s.send, func(b block, answers []answer, cause error) error {
		n, err := s.take(b, answers)
		printed += n
		return errors.Join(cause, err)
	})
	stop()
	note := plural(printed, "job") + " accepted"
	if s.stood > 0 {
		note += fmt.Sprintf(", %d of them before", s.stood)
	}
	s.say.line("%s", note)
	switch {
	case err != nil:
		return errors.Join(err, s.printLeft(s.spool.lines-printed-s.late))
	case s.late > 0:
		return fmt.Errorf("%w: %s", tasks.ErrExists, plural(s.late, "line"))
	}
	return nil
}

// send submits those that don't stand yet.
func (s *submission) send(ctx context.Context, before int, entries []entry) []answer {
	isFresh := func(i int) bool { return s.fates[before+i] == fresh }
	answers := s.only(entries, isFresh, func(jobs []*tasks.Job) []tasks.Submission {
		end := inOwnTraces(ctx, jobs)
		defer end()
		return s.client.SubmitMany(ctx, jobs)
	})
	if !s.asJSON {
		return answers
	}
	standing := s.only(entries, func(i int) bool { return !isFresh(i) }, func(jobs []*tasks.Job) []tasks.Submission {
		found, err := s.client.CheckMany(ctx, jobs) // what is printed is what they are now
		if err != nil {
			return nil
		}
		return found
	})
	for i := range answers {
		if job := standing[i].Submission.Job; job != nil {
			answers[i].Submission.Job = job
		}
	}
	return answers
}

// take prints the accepted jobs of a block, and counts them.
func (s *submission) take(b block, answers []answer) (printed int, err error) {
	var text bytes.Buffer
	var ends, at []int // where the text of each ends, and which it is
	for i, a := range answers {
		n := b.before + i
		switch {
		case errors.Is(a.Err, tasks.ErrExists): // since the check
			s.late++
			s.fates[n] = taken
			s.sayTaken(a)
			continue
		case a.Err != nil:
			err = errors.Join(err, firstOf(err, a.Err))
			continue
		case s.fates[n] == existing || a.Whole:
			s.stood++
		}
		_ = a.print(&text, s.asJSON)
		ends, at = append(ends, text.Len()), append(at, n)
	}
	wrote, failure := s.stdout.Write(text.Bytes())
	for i, end := range ends {
		if end > wrote {
			return printed, errors.Join(err, fmt.Errorf("the ids of %s, which are accepted, can't be printed: %w", plural(len(ends)-i, "job"), failure))
		}
		s.fates[at[i]] = accepted
		printed++
	}
	s.progress.add(len(answers))
	return printed, err
}

// print prints an accepted job.
func (a answer) print(w io.Writer, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(w, a.entry.Job.ID)
		return err
	}
	job := a.Submission.Job
	if job == nil {
		job = a.entry.Job
	}
	return printJSON(w, job)
}

// firstOf keeps one error of many: a Redis that is away says the same of each.
func firstOf(first, next error) error {
	if first != nil {
		return nil
	}
	return next
}

// printLeft says how to finish a batch whose submission was broken off.
func (s *submission) printLeft(left int) error {
	if s.unnamed == 0 {
		s.say.line("%s left: run the same batch again, which is safe: it submits only what is missing", plural(left, "line"))
		return nil
	}
	// To run it all again would buy the lines without an id twice.
	s.say.line("%s left: submit these, with the ids made for them, which is safe:", plural(left, "line"))
	n := 0
	return s.spool.each(func(e entry) error {
		n++
		if f := s.fates[n-1]; f == accepted || f == taken {
			return nil
		}
		if err := s.withFiles(e); err != nil {
			return err
		}
		return lineOf(e.Job).write(s.say.stderr)
	})
}

// inOwnTraces gives each job of a batch a trace of its own, with a link to that of the batch: no viewer shows ten
// thousand jobs as one. The spans last until end is called.
func inOwnTraces(ctx context.Context, jobs []*tasks.Job) (end func()) {
	batch := trace.SpanFromContext(ctx)
	if !batch.IsRecording() {
		return func() {}
	}
	tracer := batch.TracerProvider().Tracer(tracing.Scope)
	spans := make([]trace.Span, len(jobs))
	for i, job := range jobs {
		var below context.Context
		below, spans[i] = tracer.Start(ctx, "submit", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindProducer),
			trace.WithLinks(trace.Link{SpanContext: batch.SpanContext()}), trace.WithAttributes(attribute.String("hourglass.job", job.ID), attribute.String("hourglass.operation", job.Operation)))
		headers := tracing.Headers(below)
		job.Trace = tasks.Trace{Parent: headers["traceparent"], State: headers["tracestate"]}
	}
	return func() {
		for _, span := range spans {
			span.End()
		}
	}
}
