package pipeline

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
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
