package pipeline

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// requests of one operation of each kind, the image one with several outputs.
func requests() []tasks.Request {
	return []tasks.Request{
		{ID: "video", Operation: "text-to-video", Body: []byte(`{"name":"robot","end_seconds":5,"style":{"prompt":"a tin robot"}}`)},
		{ID: "images", Operation: "ai-image-generator", Body: []byte(`{"image_count":4,"style":{"prompt":"a tin robot"}}`)},
		{ID: "voice", Operation: "ai-voice-generator", Body: []byte(`{"style":{"prompt":"hello","voice_name":"Morgan Freeman"}}`)},
	}
}

// images is the request that most tests use.
func images() tasks.Request { return requests()[1] }

// slow renders take more than one poll.
var slow = map[string]time.Duration{"": 25 * time.Second}

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
	return job
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

func TestRoad(t *testing.T) {
	t.Parallel()
	for _, r := range requests() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.submit(r)
			w.run()
			job := w.checkDone(r.ID)
			totals := w.fake.Totals()
			if totals.Creates != 1 || totals.Deletes != 1 || totals.Downloads != len(job.Outputs) {
				t.Errorf("got %d creates, %d downloads, %d deletes for %d outputs", totals.Creates, totals.Downloads, totals.Deletes, len(job.Outputs))
			}
			if *job.Remote != tasks.RemoteDeleted || job.StoredAt == nil || job.DoneAt == nil || job.Polls < 2 {
				t.Errorf("got %+v", job)
			}
			p, _ := w.fake.Project(job.ProjectID)
			if want := "[" + job.ID + "~" + job.Attempts[0].Token + "]"; !strings.HasSuffix(p.Name, want) || r.ID == "video" && !strings.HasPrefix(p.Name, "robot [") {
				t.Errorf("name of the project: %q, want the caller's own and %q", p.Name, want)
			}
			if job.CreditsCharged != p.Credits {
				t.Errorf("credits: got %d, the API says %d", job.CreditsCharged, p.Credits)
			}
			if left := w.waiting(); len(left) != 0 {
				t.Errorf("tasks are left: %v", left)
			}
		})
	}
}

// TestKilledBetweenAnyTwoSteps kills the process before and after every call to the outside that
// a job of each kind makes, and runs the task again as Asynq would.
func TestKilledBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	for _, r := range requests() {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			calm := newWorld(t, magichourtest.Options{Render: slow})
			calm.submit(r)
			calm.run()
			steps := len(calm.calls)
			calm.checkDone(r.ID)
			byLayer := map[string]int{}
			for _, c := range calm.calls {
				byLayer[strings.Fields(c)[0]]++
			}
			t.Logf("%d moments: %v", steps, byLayer)
			if byLayer["redis"] == 0 || byLayer["http"] == 0 || byLayer["store"] == 0 {
				t.Fatalf("a layer has no gates: %v", byLayer)
			}
			parked := 0
			for k := range steps {
				w := newWorld(t, magichourtest.Options{Render: slow})
				w.stopAt[k] = true
				w.submit(r)
				w.run()
				job := w.checkLaws(r.ID)
				switch job.State {
				case tasks.Done:
					w.checkDone(r.ID)
				case tasks.Unknown:
					parked++
				default:
					t.Errorf("killed at %d (%s): got %s (%+v)", k, w.calls[k], job.State, job.Error)
				}
				if job.State == tasks.Unknown && w.fake.Totals().Deletes != 0 {
					t.Errorf("killed at %d (%s): deleted an unknown job's project", k, w.calls[k])
				}
				if t.Failed() {
					t.Fatalf("killed at %d: %s", k, w.calls[k])
				}
			}
			// Between the mark and the record of the answer nobody can know.
			if parked == 0 || parked > 20 {
				t.Errorf("%d of %d moments park the job", parked, steps)
			}
		})
	}
}

// TestAnyTaskMayRunAgain runs every task of a job again at the very end, and every task twice.
func TestAnyTaskMayRunAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	var all []*asynq.TaskInfo
	for range 50 {
		infos := w.waiting()
		for _, info := range infos {
			all = append(all, info)
			w.forward(10 * time.Second)
			_ = w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload))
			_ = w.step(info)
		}
	}
	w.checkDone("images")
	before := w.fake.Totals()
	for _, info := range slices.Backward(all) {
		if err := w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload)); err != nil {
			t.Errorf("%s again: %v", info.ID, err)
		}
	}
	if diff := w.fake.Totals(); diff.Creates != before.Creates || diff.Polls != before.Polls || diff.Downloads != before.Downloads {
		t.Errorf("tasks of a job that is done asked the API: %+v, then %+v", before, diff)
	}
	if left := w.waiting(); len(left) != 0 {
		t.Errorf("tasks came back to life: %v", left)
	}
}

// TestPollFence: polls of a number that is not the record's neither ask nor fork the chain.
func TestPollFence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: map[string]time.Duration{"": time.Hour}})
	w.submit(images())
	var old []*asynq.TaskInfo
	for range 5 {
		infos := w.waiting()
		if len(infos) != 1 {
			t.Fatalf("%d tasks wait, want one", len(infos))
		}
		old = append(old, infos...)
		if err := w.step(infos[0]); err != nil {
			t.Fatal(err)
		}
	}
	polls := w.fake.Totals().Polls
	for _, info := range old {
		if err := w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload)); err != nil {
			t.Errorf("%s again: %v", info.ID, err)
		}
	}
	if got := w.fake.Totals().Polls; got != polls {
		t.Errorf("stale polls asked the API %d times", got-polls)
	}
	if infos := w.waiting(); len(infos) != 1 || infos[0].ID != "images:poll:5" {
		t.Errorf("the chain has forked: %v", infos)
	}
	if err := w.inspector.DeleteTask("hourglass-poll", "images:poll:5"); err != nil {
		t.Fatal(err)
	}
	last := old[len(old)-1]
	if err := w.handle(t.Context(), asynq.NewTask(last.Type, last.Payload)); err != nil {
		t.Fatal(err)
	}
	if infos := w.waiting(); len(infos) != 1 || infos[0].ID != "images:poll:5" {
		t.Errorf("poll 4 does not make sure that poll 5 exists: %v", infos)
	}
}

func TestTaskOfAnotherEpochDoesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	job, err := tasks.NewJob(images(), w.clock())
	if err != nil {
		t.Fatal(err)
	}
	job.Epoch = 2
	r := &record{job: job}
	if err := w.pipeline.save(t.Context(), r, job.Clone(), 0); err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []int{1, 3} {
		stranger := job.Clone()
		stranger.Epoch = epoch
		task, err := tasks.NewTask(stranger.Next())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.handle(t.Context(), task); err != nil {
			t.Errorf("epoch %d: %v", epoch, err)
		}
	}
	if got := w.fake.Totals().Creates; got != 0 {
		t.Errorf("tasks of other epochs bought %d projects", got)
	}
	if got := w.waiting(); len(got) != 0 {
		t.Errorf("tasks of other epochs enqueued %v", got)
	}
}

// untilCleanup runs a job until its cleanup is all that waits.
func (w *world) untilCleanup() *asynq.TaskInfo {
	w.t.Helper()
	for range 50 {
		infos := w.waiting()
		if len(infos) == 1 && infos[0].Queue == "hourglass-cleanup" {
			return infos[0]
		}
		for _, info := range infos {
			w.forward(10 * time.Second)
			if err := w.step(info); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.t.Fatal("the cleanup never came")
	return nil
}

// TestNoDeleteBeforeSecondProof changes what was proved after it was proved.
func TestNoDeleteBeforeSecondProof(t *testing.T) {
	t.Parallel()
	put := func(w *world, key, body string, o storage.PutOptions) {
		o.Size, o.Replace = int64(len(body)), true
		if _, err := w.store.Put(w.t.Context(), key, strings.NewReader(body), o); err != nil {
			w.t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		change func(w *world, job *tasks.Job)
		want   tasks.State
	}{
		{"somebody else's object stands there", func(w *world, _ *tasks.Job) {
			put(w, "images/2.png", "somebody else's", storage.PutOptions{})
		}, tasks.Failed},
		{"the copy has gone bad", func(w *world, job *tasks.Job) {
			put(w, "images/2.png", "rotten", storage.PutOptions{Metadata: map[string]string{"job": "images", "project": job.ProjectID, "source": job.Sources[1].Path}})
		}, tasks.Done},
		{"the copy has vanished", func(w *world, job *tasks.Job) {
			if err := os.Remove(strings.TrimPrefix(job.Outputs[1].URL, "file://")); err != nil {
				w.t.Fatal(err)
			}
		}, tasks.Done},
		{"the manifest says something else", func(w *world, job *tasks.Job) {
			put(w, "images/manifest.json", `{"v":1,"job_id":"images","project_id":"`+job.ProjectID+`","outputs":[]}`, storage.PutOptions{Metadata: map[string]string{"job": "images", "project": job.ProjectID}})
		}, tasks.Done},
		{"the project has one more file", func(w *world, job *tasks.Job) {
			w.fake.SetBehavior(job.ProjectID, magichourtest.Behavior{Outputs: 5})
		}, tasks.Done},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			w.submit(images())
			cleanup := w.untilCleanup()
			tt.change(w, w.job("images"))
			if err := w.step(cleanup); err != nil {
				t.Fatal(err)
			}
			if job := w.job("images"); job.State != tasks.Storing || job.Epoch != 2 || job.StoredAt != nil || len(job.Outputs) != 0 || len(job.Warnings) != 1 {
				t.Errorf("after the failed proof: %+v", job)
			}
			if got := w.fake.Totals().Deletes; got != 0 {
				t.Fatalf("%d deletes", got)
			}
			w.run()
			job := w.checkLaws("images")
			if job.State != tt.want {
				t.Fatalf("got %s (%+v), want %s", job.State, job.Error, tt.want)
			}
			if tt.want == tasks.Failed && (job.Error.Code != codeObjectExists || w.fake.Totals().Deletes != 0) {
				t.Errorf("got %+v after %d deletes", job.Error, w.fake.Totals().Deletes)
			}
			if tt.want == tasks.Done {
				w.checkDone("images")
			}
		})
	}
}

// TestProofIsMoreThanLength: bytes of the same length are other bytes.
func TestProofIsMoreThanLength(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	cleanup := w.untilCleanup()
	path := strings.TrimPrefix(w.job("images").Outputs[0].URL, "file://")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)/2] ^= 1
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.step(cleanup); err != nil {
		t.Fatal(err)
	}
	if job := w.job("images"); job.State != tasks.Storing || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s after %d deletes", job.State, w.fake.Totals().Deletes)
	}
}

// TestEveryOutputOfNothing: a complete project without downloads is asked again, never deleted.
func TestEveryOutputOfNothing(t *testing.T) {
	t.Parallel()
	t.Run("from the first poll on", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Behavior: magichourtest.Behavior{EmptyGets: -1}})
		w.submit(images())
		for range 10 {
			w.forward(time.Minute)
			for _, info := range w.waiting() {
				if err := w.step(info); err != nil {
					t.Fatal(err)
				}
			}
		}
		if job := w.job("images"); job.State != tasks.Rendering {
			t.Errorf("got %s, want rendering", job.State)
		}
		w.forward(25 * time.Hour)
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Failed || job.Error.Code != codeGaveUp {
			t.Errorf("after the give-up time: got %s (%+v)", job.State, job.Error)
		}
		if got := w.fake.Totals().Deletes; got != 0 {
			t.Errorf("%d deletes", got)
		}
	})
	t.Run("when the cleanup looks", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		cleanup := w.untilCleanup()
		project := w.job("images").ProjectID
		w.fake.SetBehavior(project, magichourtest.Behavior{EmptyGets: -1})
		if err := w.step(cleanup); err == nil || errors.Is(err, asynq.SkipRetry) {
			t.Errorf("got %v, want to be run again", err)
		}
		if job := w.job("images"); job.State != tasks.Cleaning || w.fake.Totals().Deletes != 0 {
			t.Errorf("got %s after %d deletes", job.State, w.fake.Totals().Deletes)
		}
		w.fake.SetBehavior(project, magichourtest.Behavior{})
		w.run()
		w.checkDone("images")
	})
}

// TestOutputs: sets that come late, shuffled, or changed.
func TestOutputs(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]magichourtest.Behavior{
		"files come late":                     {LateGets: 3},
		"complete before there are files":     {EmptyGets: 3},
		"the set changes after the poll":      {ChangeAfter: 1},
		"the set changes before the cleanup":  {ChangeAfter: 2},
		"not found right after the create":    {MissingGets: 3},
		"no length":                           {Body: magichourtest.Chunked},
		"a body is cut short, once":           {Body: magichourtest.Truncated, BodyTimes: 1},
		"a chunked body is cut short, twice":  {Body: magichourtest.Cut, BodyTimes: 2},
		"a tombstone instead of a 404":        {DeletedAs: magichourtest.Disabled},
		"a status that nobody knows, a while": {Status: "pondering", StatusFor: magichourtest.Duration(time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Behavior: b})
			w.submit(images())
			w.run()
			w.checkDone("images")
			if got := w.fake.Totals(); got.Creates != 1 || got.Deletes != 1 {
				t.Errorf("%d creates, %d deletes", got.Creates, got.Deletes)
			}
		})
	}
}

// TestOutputsKeepTheirNumbers: the API shuffles its answers; number and path stay together.
func TestOutputsKeepTheirNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	w.submit(images())
	w.untilCleanup()
	job := w.job("images")
	for i, s := range job.Sources {
		want, err := w.fake.OutputAt(s.Path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(strings.TrimPrefix(job.Outputs[i].URL, "file://"))
		if err != nil || string(got) != string(want) || job.Outputs[i].N != s.N || s.N != i+1 {
			t.Errorf("output %d is not the file of %s (%v)", i+1, s.Path, err)
		}
	}
}

// TestEndsBadly: renders that fail or are canceled, and deletes that are refused.
func TestEndsBadly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		behavior magichourtest.Behavior
		state    tasks.State
		code     string
		remote   tasks.Remote
		credits  int
	}{
		{"the render fails", magichourtest.Behavior{Error: "no_source_face"}, tasks.Failed, "no_source_face", "", 0},
		{"somebody cancels it", magichourtest.Behavior{Canceled: true}, tasks.Canceled, "", "", 0},
		{"templates can't be deleted", magichourtest.Behavior{DeleteStatus: 422}, tasks.Done, "", tasks.RemoteKept, 20},
		{"a file whose end nobody announces", magichourtest.Behavior{Body: magichourtest.Short}, tasks.Done, "", tasks.RemoteKept, 20},
		{"the key may not delete", magichourtest.Behavior{DeleteStatus: 403}, tasks.Done, "", tasks.RemoteKept, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Behavior: tt.behavior})
			w.submit(images())
			w.run()
			job := w.checkLaws("images")
			if job.State != tt.state || job.CreditsCharged != tt.credits {
				t.Errorf("got %s (%+v) for %d credits, want %s for %d", job.State, job.Error, job.CreditsCharged, tt.state, tt.credits)
			}
			if tt.code != "" && (job.Error == nil || job.Error.Code != tt.code || job.Error.Stage != "poll") {
				t.Errorf("got %+v, want code %s", job.Error, tt.code)
			}
			if tt.remote != "" && (*job.Remote != tt.remote || job.RemoteReason == nil) {
				t.Errorf("remote: got %v because %v, want %s", job.Remote, job.RemoteReason, tt.remote)
			}
			if got := w.fake.Totals().Deletes; got != 0 {
				t.Errorf("%d deletes", got)
			}
			archived := 0
			for _, stage := range tasks.Stages() {
				infos, err := w.inspector.ListArchivedTasks(stage.Queue())
				if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
					t.Fatal(err)
				}
				archived += len(infos)
			}
			if want := map[bool]int{true: 1, false: 0}[tt.state == tasks.Failed]; archived != want {
				t.Errorf("%d archived tasks, want %d", archived, want)
			}
		})
	}
}

// TestGone: a project that disappears is waited for, and then the job fails, unless its files
// are there all the same.
func TestGone(t *testing.T) {
	t.Parallel()
	t.Run("while rendering", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{Behavior: magichourtest.Behavior{MissingGets: 1000}})
		w.submit(images())
		w.run()
		job := w.checkLaws("images")
		if job.State != tasks.Failed || job.Error.Code != codeRemoteGone || job.DoneAt.Sub(*job.MissingSince) < believedAfter {
			t.Errorf("got %s (%+v), missing since %v", job.State, job.Error, job.MissingSince)
		}
	})
	t.Run("the record has lost its last steps", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, magichourtest.Options{})
		w.submit(images())
		for range 2 {
			if err := w.step(w.waiting()[0]); err != nil {
				t.Fatal(err)
			}
			w.forward(10 * time.Second)
		}
		old := w.job("images") // as it was before the download
		poll := *old
		poll.State, poll.Sources, poll.RemoteStatus = tasks.Rendering, nil, ""
		w.run()
		w.checkDone("images")
		r, err := w.pipeline.load(t.Context(), "images")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.pipeline.save(t.Context(), r, poll.Clone(), 0); err != nil {
			t.Fatal(err)
		}
		w.enqueue(poll.Next())
		w.run()
		if job := w.checkLaws("images"); job.State != tasks.Done || len(job.Outputs) != 4 || w.fake.Totals().Creates != 1 {
			t.Errorf("got %s (%+v)", job.State, job.Error)
		}
	})
}

// TestUnreadablePayload is archived at once, and harms nobody.
func TestUnreadablePayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	for _, payload := range []string{``, `{`, `[]`, `{"v":0,"job_id":"x","epoch":1}`, `{"v":1,"job_id":"../x","epoch":1}`} {
		if err := w.handle(t.Context(), asynq.NewTask("hourglass:poll", []byte(payload))); !errors.Is(err, asynq.SkipRetry) || len(err.Error()) < 20 {
			t.Errorf("%q: got %v, want it archived with a reason", payload, err)
		}
	}
	later := asynq.NewTask("hourglass:poll", []byte(`{"v":99,"job_id":"x","epoch":1}`))
	if err := w.handle(t.Context(), later); err == nil || errors.Is(err, asynq.SkipRetry) || costsAttempt(err) {
		t.Errorf("a payload of a later version: got %v, want it to wait for a newer worker", err)
	}
	w.submit(images())
	w.run()
	w.checkDone("images")
}

func TestFirstSight(t *testing.T) {
	t.Parallel()
	body := string(images().Body)
	tests := []struct{ name, payload, reason string }{
		{"older than records are kept", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":` + body + `,"created_at":"2026-11-01T12:00:00Z"}`, "records are kept"},
		{"from the future", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":` + body + `,"created_at":"2027-11-01T12:00:00Z"}`, "future"},
		{"without its time", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":` + body + `}`, "created_at"},
		{"body that the API would refuse", `{"v":1,"job_id":"x","epoch":1,"operation":"ai-image-generator","body":{},"created_at":"2026-11-24T12:00:00Z"}`, "image_count: required"},
		{"operation that does not exist", `{"v":1,"job_id":"x","epoch":1,"operation":"text-to-smell","body":{},"created_at":"2026-11-24T12:00:00Z"}`, "text-to-smell"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{})
			err := w.handle(t.Context(), asynq.NewTask("hourglass:create", []byte(tt.payload)))
			if !errors.Is(err, asynq.SkipRetry) || !strings.Contains(fmt.Sprint(err), tt.reason) {
				t.Errorf("got %v, want it archived because of %q", err, tt.reason)
			}
			if got := w.fake.Totals().Creates; got != 0 {
				t.Errorf("%d creates", got)
			}
		})
	}
}

// TestRecordWinsOverTask: after first sight the request comes from the record, and a task with
// another request is archived.
func TestRecordWinsOverTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	if _, err := w.client.Submit(t.Context(), images()); err != nil {
		t.Fatal(err)
	}
	other := images()
	other.Body = []byte(`{"image_count":1,"style":{"prompt":"something else"}}`)
	foreign, err := tasks.NewCreate(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.handle(t.Context(), foreign); !errors.Is(err, asynq.SkipRetry) || !strings.Contains(err.Error(), "different request") {
		t.Errorf("got %v, want it archived because the request differs", err)
	}
	w.forward(time.Until(w.clock()) + time.Hour) // Submit goes by the real clock
	w.run()
	if job := w.checkDone("images"); len(job.Outputs) != 4 {
		t.Errorf("%d outputs, want the 4 of the record's request", len(job.Outputs))
	}
}
