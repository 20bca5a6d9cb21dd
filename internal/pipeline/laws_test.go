package pipeline

import (
	"slices"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// checkLaws holds what must be true at the end of every story: at most one create charged, no
// delete before the proof, and no job without an end.
func (w *world) checkLaws(id string) *tasks.Job {
	w.t.Helper()
	job := w.job(id)
	if got := w.fake.Totals().Creates; got > 1 {
		w.t.Errorf("%d creates were charged", got)
	}
	for _, problem := range w.unproved {
		w.t.Errorf("deleted before the proof: %s", problem)
	}
	if !job.State.Settled() {
		w.t.Errorf("the job stays %s", job.State)
	}
	if job.State == tasks.Unknown && (job.Error == nil || job.Error.Hint == "") {
		w.t.Errorf("parked without a word: %+v", job.Error)
	}
	if v := w.fake.Totals().Violations; v != 0 {
		w.t.Errorf("%d violations of the API's rules", v)
	}
	w.checkIndex(job)
	return job
}

// checkIndex holds that a job is found where its record says, also after its worker has died on the
// way.
func (w *world) checkIndex(job *tasks.Job) {
	w.t.Helper()
	entries, err := w.pipeline.records.Latest(w.t.Context(), string(job.State), 0, 10)
	if err != nil {
		w.t.Fatal(err)
	}
	if !slices.ContainsFunc(entries, func(e records.Entry) bool { return e.Job == job.ID }) {
		w.t.Errorf("the index does not know that job %s is %s", job.ID, job.State)
	}
}

// checkDone is checkLaws for a job that must have been done completely.
func (w *world) checkDone(id string) *tasks.Job {
	w.t.Helper()
	job := w.checkLaws(id)
	if job.State != tasks.Done {
		w.t.Fatalf("got %s (%+v), want done", job.State, job.Error)
	}
	if err := w.checkCopies(job.ProjectID); err != nil {
		w.t.Error(err)
	}
	return job
}
