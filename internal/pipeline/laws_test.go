package pipeline

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

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
	w.checkInputs(job)
	w.checkSchemas(job)
	return job
}

// checkInputs holds that what was bought was bought with the very bytes of the objects, and that none was
// uploaded twice unless the path of the first upload was lost with its answer, with the end of the object, which
// came after its last byte, or with its process. (That no path
// leaves which was not uploaded, and no object's name, the fake itself holds.)
func (w *world) checkInputs(job *tasks.Job) {
	w.t.Helper()
	wanted := objectsOf(job)
	excused := slices.ContainsFunc(w.met, func(e encounter) bool {
		return e.kind.stops() || e.kind == loses && (e.call == "http PUT media" || e.call == "store body")
	})
	if got := w.fake.Totals().Uploads; got > len(wanted) && !excused {
		w.t.Errorf("%d uploads of %d objects", got, len(wanted))
	}
	for _, a := range wanted {
		in, there := uploaded(job, a, w.clock())
		if !there && job.ProjectID != "" {
			w.t.Errorf("bought without %s", a.Path)
		}
		_, key, _ := a.Object()
		file, sent := w.fake.Uploaded(in.FilePath)
		if there && (!sent || file.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte(contents[key])))) {
			w.t.Errorf("%s is not what was uploaded", a.Path)
		}
	}
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

// checkNotAhead holds that no task waits for a place on the road that the record has not come to: the
// record is saved before the next task is enqueued.
func (w *world) checkNotAhead(infos []*asynq.TaskInfo) {
	w.t.Helper()
	for _, info := range infos {
		payload, err := tasks.Decode(asynq.NewTask(info.Type, info.Payload))
		if err != nil {
			continue
		}
		if job := w.recorded(payload.Head().JobID); job != nil && ahead(payload, job) {
			w.t.Errorf("task %s waits, and the job is %s at poll %d of epoch %d", info.ID, job.State, job.Polls, job.Epoch)
		}
	}
}

// recorded returns the record of a job; nil if it has none, as before the first sight of a bare task.
func (w *world) recorded(id string) *tasks.Job {
	w.t.Helper()
	data, _, err := records.New(w.plain).Load(w.t.Context(), id)
	if errors.Is(err, records.ErrNotFound) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	job, err := tasks.DecodeJob(data)
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// ahead reports whether a task is for a later place on the road than the record.
func ahead(payload tasks.Payload, job *tasks.Job) bool {
	poll, isPoll := payload.(*tasks.Poll)
	at, to := slices.Index(tasks.Stages(), stageOf(job.State)), slices.Index(tasks.Stages(), payload.Stage())
	switch {
	case payload.Head().Epoch != job.Epoch:
		return payload.Head().Epoch > job.Epoch
	case job.State == tasks.Unknown:
		return to > 0
	case at < 0 || at != to:
		return at >= 0 && to > at
	}
	return isPoll && poll.N > job.Polls
}

// checkEnd holds all that must be true once a job that met nothing but passing trouble has come to
// its end, and says which end that was.
func (w *world) checkEnd(id string, accepted bool) ending {
	w.t.Helper()
	end := ending{met: w.met, calls: maps.Clone(w.count), litter: len(w.litter())}
	_, err := w.client.Job(w.t.Context(), id)
	switch {
	case err == nil:
		end.job = w.checkLaws(id)
		w.checkOutcome(end.job)
		if w.receiver != nil {
			w.checkTold(end.job)
		}
	case !errors.Is(err, tasks.ErrNotFound) || accepted:
		w.t.Errorf("the job is lost: %v", err)
	case w.fake.Totals().Creates > 0:
		w.t.Error("something was bought for a job that was never accepted")
	}
	w.checkNothingWaits(id)
	if left := w.litter(); len(left) > 0 && !slices.ContainsFunc(w.met, mayLitter) {
		w.t.Errorf("left behind in the store: %v", left)
	}
	return end
}

// witnessLitter looks at the store when a job is about to tidy up: an upload that failed has been aborted
// by then, and only one that could not be is left to be tidied up.
func (w *world) witnessLitter() {
	w.mu.Lock()
	excused := slices.ContainsFunc(w.met, leavesUpload)
	w.mu.Unlock()
	if left := w.litter(); len(left) > 0 && !excused {
		w.t.Errorf("not aborted: %v", left)
	}
}

// leavesUpload reports whether a copy can't abort its upload after this: the process was killed, or it does
// not know what was begun, or the abort itself failed.
func leavesUpload(e encounter) bool {
	return e.kind.stops() || e.kind == loses && e.call == "store CreateMultipartUpload" || e.kind == fails && e.call == "store AbortMultipartUpload"
}

// mayLitter reports whether this kept a job that is done from tidying up after its killed workers: then the
// sweeper of two days later does. A worker that is killed while it tidies up does it again.
func mayLitter(e encounter) bool {
	tidies := []string{"store tidy", "store ListMultipartUploads", "store AbortMultipartUpload"}
	return slices.Contains(tidies, e.call) && !e.kind.stops()
}

// checkOutcome holds that record, manifest, store and API agree.
func (w *world) checkOutcome(job *tasks.Job) {
	w.t.Helper()
	totals := w.fake.Totals()
	switch job.State {
	case tasks.Done:
		w.checkCopied(job)
		if deleted := totals.Deletes == 1; job.Remote == nil || *job.Remote != tasks.RemoteDeleted || !deleted {
			w.t.Errorf("remote: the record says %v, and there were %d deletes", job.Remote, totals.Deletes)
		}
	case tasks.Unknown:
		if totals.Deletes != 0 || job.Mark() == nil {
			w.t.Errorf("parked after %d deletes, with mark %v", totals.Deletes, job.Mark())
		}
		if !w.frozen && !slices.ContainsFunc(w.met, func(e encounter) bool { return e.kind.stops() || e.call == "http POST" && e.kind != fails }) {
			w.t.Errorf("parked though the process lived and the API answered: %s", job.Error.Message)
		}
	case tasks.Failed:
		w.checkFailed(job)
	default:
		w.t.Errorf("got %s (%+v), want done or parked", job.State, job.Error)
	}
	if job.Hold != nil || job.DoneAt == nil != (job.State == tasks.Unknown) {
		w.t.Errorf("a job that is %s has hold %+v and done_at %v", job.State, job.Hold, job.DoneAt)
	}
	if got := w.listed(); !slices.Equal(got, []string{job.ID + " " + string(job.State)}) {
		w.t.Errorf("listed as %v, want %s once, as %s", got, job.ID, job.State)
	}
}

// checkFailed holds that a failed job says why, in its record and in exactly one archived task, and that
// nothing was deleted for it.
func (w *world) checkFailed(job *tasks.Job) {
	w.t.Helper()
	if !w.failing || job.Error.Hint == "" || w.fake.Totals().Deletes > 0 {
		w.t.Errorf("failed as %+v after %d deletes", job.Error, w.fake.Totals().Deletes)
	}
	archived := 0
	for _, stage := range tasks.Stages() {
		infos, err := w.inspector.ListArchivedTasks(stage.Queue())
		if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			w.t.Fatal(err)
		}
		archived += len(infos)
	}
	if archived != 1 {
		w.t.Errorf("%d archived tasks of a failed job, want one", archived)
	}
}

// checkCopied holds the record of a job that is done against its manifest, and its files against
// what the API had.
func (w *world) checkCopied(job *tasks.Job) {
	w.t.Helper()
	if err := w.checkCopies(job.ProjectID); err != nil {
		w.t.Error(err)
	}
	m, err := (&Pipeline{store: w.store}).proveManifest(w.t.Context(), job)
	if err != nil {
		w.t.Error(err)
	}
	if diff := cmp.Diff(m.outputs(), job.Outputs); diff != "" {
		w.t.Errorf("outputs (-manifest +record):\n%s", diff)
	}
	project, _ := w.fake.Project(job.ProjectID)
	if m.CreditsCharged != job.CreditsCharged || job.CreditsCharged != project.Credits || job.StoredAt == nil {
		w.t.Errorf("manifest %d, record %d, API %d credits, stored at %v", m.CreditsCharged, job.CreditsCharged, project.Credits, job.StoredAt)
	}
}

// listed are the jobs and their states as a listing tells them.
func (w *world) listed() []string {
	w.t.Helper()
	var all []string
	for job, err := range w.client.List(w.t.Context(), tasks.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, job.ID+" "+string(job.State))
	}
	return all
}

// checkNothingWaits holds that no task and no deadline of a job is left.
func (w *world) checkNothingWaits(id string) {
	w.t.Helper()
	for _, key := range w.redis.Keys() {
		for _, state := range []string{"pending", "scheduled", "retry", "active", "archived"} {
			if w.failing && state == "archived" {
				continue // see checkFailed
			}
			if strings.HasPrefix(key, "asynq:{hourglass-") && strings.HasSuffix(key, "}:"+state) {
				w.t.Errorf("a task is left in %s", key)
			}
		}
	}
	if at, err := w.pipeline.records.Deadline(w.t.Context(), id); err != nil || at != "" {
		w.t.Errorf("the deadline %q is left (%v)", at, err)
	}
}

// unfinished lists the temporary files below a folder.
func unfinished(t tester, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".part") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
