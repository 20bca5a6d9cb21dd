package pipeline

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// contents are the objects that requests name, by key.
var contents = map[string]string{"me.mp4": strings.Repeat("moving ", 3000), "say what?.mp3": strings.Repeat("sounding ", 2000), "empty.mp3": ""}

// fromBucket is a request with two objects as inputs.
func fromBucket(id string) tasks.Request {
	return tasks.Request{ID: id, Operation: "lip-sync", Body: []byte(`{"start_seconds":0,"end_seconds":5,"assets":{"video_source":"file","video_file_path":"s3://callers/me.mp4","audio_file_path":"S3://callers/say what?.mp3"}}`)}
}

// withInputs gives the workers that are begun from now on a bucket to read inputs from.
func (w *world) withInputs(t tester) {
	w.callers = storagetest.NewS3(w.t.(testing.TB), "callers", "secrets")
	for key, text := range contents {
		w.callers.Add("callers", key, []byte(text))
	}
	w.inputs = func(p *process) *storage.Inputs {
		client := &http.Client{Transport: &http.Transport{}}
		t.Cleanup(client.CloseIdleConnections)
		inputs, err := storage.OpenInputs(t.Context(), []string{"callers"}, w.callers.Options(
			config.WithHTTPClient(s3Gate{p, client, true}),
			config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), // its pauses are real
		))
		if err != nil {
			t.Fatal(err)
		}
		return inputs
	}
}

func newWorldWithInputs(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.withInputs(t)
	w.start()
	return w
}

func (w *world) asked(call string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, c := range w.calls {
		if c == call+" before" {
			n++
		}
	}
	return n
}

func TestInputs(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusTooManyRequests, Times: 2})
	w.submit(fromBucket("j1"))
	w.run()
	job := w.checkDone("j1")
	if got := w.fake.Totals().Uploads; got != 2 || w.asked("store GetObject") != 2 || w.asked("http POST") != 2+3 {
		t.Errorf("%d uploads, %d reads, %d POSTs; a create that is repeated must not upload again", got, w.asked("store GetObject"), w.asked("http POST"))
	}
	if !strings.Contains(string(job.Body), "s3://callers/me.mp4") || len(job.Inputs) != 2 {
		t.Errorf("the record has body %s and inputs %+v", job.Body, job.Inputs)
	}
	if same, err := tasks.NewJob(fromBucket("j1"), noon); err != nil || !same.Same(job) {
		t.Errorf("the job is not that of its request any more (%v)", err)
	}
}

func TestInputsAreSharedByTheFleet(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	uploads := func(id string, want int) {
		t.Helper()
		w.submit(fromBucket(id))
		w.run()
		if job := w.job(id); job.State != tasks.Done || w.fake.Totals().Uploads != want {
			t.Errorf("%s is %s (%+v) after %d uploads, want %d", id, job.State, job.Error, w.fake.Totals().Uploads, want)
		}
	}
	uploads("j1", 2)
	uploads("j2", 2)
	w.callers.Add("callers", "me.mp4", []byte("another film"))
	uploads("j3", 3)
	w.forward(6 * 24 * time.Hour)
	uploads("j4", 5)
}

// TestOldInputIsUploadedAnew: the path in the record is not used when it may die before the render begins.
func TestOldInputIsUploadedAnew(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.pipeline.set.GiveUp = 30 * 24 * time.Hour
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusTooManyRequests, Times: 1})
	w.submit(fromBucket("j1"))
	w.forward(time.Minute)
	_ = w.step(w.due()[0]) // throttled
	if len(w.job("j1").Inputs) != 2 {
		t.Fatalf("inputs: %+v", w.job("j1").Inputs)
	}
	w.forward(6 * 24 * time.Hour)
	w.run()
	if w.checkedDone("j1"); w.fake.Totals().Uploads != 4 {
		t.Errorf("%d uploads, want 4", w.fake.Totals().Uploads)
	}
}

// TestRecordRemembersInputs: the path in the record is enough, whatever the fleet has forgotten.
func TestRecordRemembersInputs(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusTooManyRequests, Times: 1})
	w.submit(fromBucket("j1"))
	w.forward(time.Minute)
	_ = w.step(w.due()[0]) // throttled
	for _, key := range w.redis.Keys() {
		if strings.Contains(key, ":upload:") {
			w.redis.Del(key)
		}
	}
	w.callers.Add("callers", "me.mp4", nil) // nobody looks at it any more
	w.run()
	w.checkDone("j1")
}

// checkedDone is for a job whose inputs were uploaded more than once, and rightly.
func (w *world) checkedDone(id string) {
	w.t.Helper()
	if job := w.job(id); job.State != tasks.Done || w.fake.Totals().Violations > 0 || w.fake.Totals().Creates != 1 {
		w.t.Errorf("got %s (%+v) after %+v", job.State, job.Error, w.fake.Totals())
	}
}

func TestRefusedInputs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, audio, code, says string
	}{
		{"another bucket", "s3://secrets/a.mp3", "input_refused", "HOURGLASS_INPUT_BUCKETS"},
		{"no such object", "s3://callers/none.mp3", "input_missing", "assets.audio_file_path"},
		{"an empty object", "s3://callers/empty.mp3", "input_refused", "empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWithInputs(t)
			r := fromBucket("j1")
			r.Body = []byte(strings.Replace(string(r.Body), "S3://callers/say what?.mp3", tt.audio, 1))
			w.submit(r)
			w.run()
			job := w.job("j1")
			if job.State != tasks.Failed || job.Error.Code != tt.code || !strings.Contains(job.Error.Message+job.Error.Hint, tt.says) || strings.Contains(job.Error.Message, ".mp3") {
				t.Errorf("got %s, %+v", job.State, job.Error)
			}
			if totals := w.fake.Totals(); totals.Creates != 0 {
				t.Errorf("the API saw %+v", totals)
			}
			if tt.name == "another bucket" && w.asked("store HeadObject")+w.fake.Totals().Uploads != 0 {
				t.Error("something was read or sent before the other input was refused")
			}
		})
	}
}

// TestNoInputsWithoutBuckets: a worker reads nothing unless it is told to.
func TestNoInputsWithoutBuckets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.submit(fromBucket("j1"))
	w.run()
	if job := w.job("j1"); job.State != tasks.Failed || job.Error.Code != "input_refused" || w.asked("http POST") != 0 {
		t.Errorf("got %s, %+v, and %d calls of the API", job.State, job.Error, w.asked("http POST"))
	}
}

func TestTooLargeInputs(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	huge := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Content-Length", "5368709121") }))
	t.Cleanup(huge.Close)
	inputs, err := storage.OpenInputs(t.Context(), []string{"callers"}, w.callers.Options(config.WithBaseEndpoint(huge.URL)))
	if err != nil {
		t.Fatal(err)
	}
	w.pipeline.inputs = inputs
	w.submit(fromBucket("j1"))
	w.run()
	if job := w.job("j1"); job.State != tasks.Failed || job.Error.Code != "input_refused" || !strings.Contains(job.Error.Message, "5 GiB") || w.asked("http POST") != 0 {
		t.Errorf("for one upload: got %s, %+v", job.State, job.Error)
	}
	w = newWorldWithInputs(t)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Upload, Status: http.StatusRequestEntityTooLarge, Times: 1})
	w.submit(fromBucket("j1"))
	w.run()
	if job := w.job("j1"); job.State != tasks.Failed || job.Error.Code != "file_too_large" || w.fake.Totals().Creates != 0 {
		t.Errorf("for the tier: got %s, %+v", job.State, job.Error)
	}
}

// TestWhileAnInputIsUploaded: an upload takes its time, in which somebody may think better of it.
func TestWhileAnInputIsUploaded(t *testing.T) {
	t.Parallel()
	const uploading = "http PUT media after"
	t.Run("canceled", func(t *testing.T) {
		t.Parallel()
		w := newWorldWithInputs(t)
		w.submit(fromBucket("j1"))
		w.when(uploading, func() {
			if _, err := w.client.Cancel(t.Context(), "j1"); err != nil {
				t.Error(err)
			}
		})
		info := w.due()[0]
		if err := w.handle(t.Context(), asynq.NewTask(info.Type, info.Payload)); err != nil {
			t.Error(err)
		}
		if job := w.job("j1"); job.State != tasks.Canceled || w.fake.Totals().Creates != 0 || w.fake.Totals().Uploads != 1 {
			t.Errorf("got %s, and the API saw %+v", job.State, w.fake.Totals())
		}
	})
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		w := newWorldWithInputs(t)
		w.submit(fromBucket("j1"))
		w.when(uploading, func() {
			if _, err := w.pipeline.holds.ByHand(t.Context(), tasks.StageCreate, "wait"); err != nil {
				t.Error(err)
			}
		})
		w.forward(time.Minute)
		_ = w.step(w.due()[0])
		if job := w.job("j1"); job.Hold == nil || job.State != tasks.Pending || w.fake.Totals().Creates != 0 || len(job.Inputs) != 2 {
			t.Errorf("got %s, hold %+v", job.State, job.Hold)
		}
	})
	t.Run("the worker stops", func(t *testing.T) {
		t.Parallel()
		w := newWorldWithInputs(t)
		w.submit(fromBucket("j1"))
		w.when("store body before", func() { w.pipeline.stopUploads() })
		w.forward(time.Minute)
		var s *setback
		if err := w.step(w.due()[0]); !errors.As(err, &s) || s.class != again || s.after != time.Second {
			t.Errorf("got %v", err)
		}
		if job := w.job("j1"); job.State != tasks.Pending || job.Hold != nil || w.fake.Totals().Creates != 0 {
			t.Errorf("got %s, hold %+v", job.State, job.Hold)
		}
		w.start()
		w.run()
		w.checkedDone("j1") // the bytes may have been on their way already
	})
}

// TestRefusedPathIsForgotten: after a refusal that may be about an uploaded file, the next try uploads anew.
func TestRefusedPathIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusUnprocessableEntity, Times: 1})
	w.submit(fromBucket("j1"))
	w.run()
	if job := w.job("j1"); job.State != tasks.Failed {
		t.Fatalf("got %s", job.State)
	}
	if slices.ContainsFunc(w.redis.Keys(), func(key string) bool { return strings.Contains(key, ":upload:") }) {
		t.Error("the fleet remembers it")
	}
	if job := w.retried("j1"); len(job.Inputs) != 0 {
		t.Errorf("the record has %+v", job.Inputs)
	}
	w.run()
	if w.checkedDone("j1"); w.fake.Totals().Uploads != 4 {
		t.Errorf("%d uploads, want 4", w.fake.Totals().Uploads)
	}
}

func (w *world) retried(id string) *tasks.Job {
	w.t.Helper()
	job, err := w.client.Retry(w.t.Context(), id, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return job
}

// TestRefusedForThePlan: a refusal that is not about the request costs no upload, and a retry takes the objects
// as they are by then.
func TestRefusedForThePlan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		film    string
		uploads int
	}{
		{"nothing has changed", contents["me.mp4"], 2},
		{"an object was replaced", "another film", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWithInputs(t)
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusForbidden, Times: 1})
			w.submit(fromBucket("j1"))
			w.run()
			w.callers.Add("callers", "me.mp4", []byte(tt.film))
			w.retried("j1")
			w.run()
			w.checkedDone("j1")
			job := w.job("j1")
			if got := w.fake.Totals().Uploads; got != tt.uploads {
				t.Errorf("%d uploads, want %d", got, tt.uploads)
			}
			if len(job.Inputs) != 2 {
				t.Fatalf("inputs: %+v", job.Inputs)
			}
			file, _ := w.fake.Uploaded(job.Inputs[1].FilePath)
			if job.Inputs[1].Ref != "s3://callers/me.mp4" {
				file, _ = w.fake.Uploaded(job.Inputs[0].FilePath)
			}
			if string(file.Bytes) != tt.film {
				t.Errorf("bought with %.20q, want %.20q", file.Bytes, tt.film)
			}
		})
	}
}

// TestUploadsOfAnotherAccount: what was uploaded before the key was changed is of no use after.
func TestUploadsOfAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: http.StatusTooManyRequests, Times: 1})
	w.submit(fromBucket("j1"))
	w.forward(time.Minute)
	_ = w.step(w.due()[0]) // throttled
	w.pipeline = w.worker(w.process, "the key of another account")
	w.run()
	if w.checkedDone("j1"); w.fake.Totals().Uploads != 4 {
		t.Errorf("%d uploads, want 4", w.fake.Totals().Uploads)
	}
}

// TestObjectsWithoutETag: whether one is still the same can't be told, so each job uploads its own.
func TestObjectsWithoutETag(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	for i, film := range []string{strings.Repeat("x", 100), strings.Repeat("y", 100)} {
		w.callers.Add("callers", "me.mp4", []byte(film))
		w.callers.DropETag("callers", "me.mp4")
		id := []string{"j1", "j2"}[i]
		w.submit(fromBucket(id))
		w.run()
		found := false
		for _, in := range w.job(id).Inputs {
			file, _ := w.fake.Uploaded(in.FilePath)
			found = found || string(file.Bytes) == film
		}
		if job := w.job(id); job.State != tasks.Done || !found {
			t.Errorf("%s is %s (%+v), bought with its own film: %t", id, job.State, job.Error, found)
		}
	}
}

// TestUploadsAtTheSameTime: what another job uploads just now is not uploaded beside it.
func TestUploadsAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.submit(fromBucket("j1"))
	w.submit(fromBucket("j2"))
	first, second := w.due()[0], w.due()[1]
	w.when("http PUT media before", func() {
		beside := w.worker(w.begin(), "key")
		var s *setback
		if err := beside.Handle(t.Context(), asynq.NewTask(second.Type, second.Payload)); !errors.As(err, &s) || s.class != again {
			t.Errorf("beside the other: got %v, want to be run again soon", err)
		}
	})
	if err := w.step(first); err != nil {
		t.Fatal(err)
	}
	w.run()
	for _, id := range []string{"j1", "j2"} {
		if job := w.job(id); job.State != tasks.Done {
			t.Errorf("%s is %s (%+v)", id, job.State, job.Error)
		}
	}
	if got := w.fake.Totals().Uploads; got != 2 {
		t.Errorf("%d uploads for two jobs with the same two objects", got)
	}
}

// TestUploadsLeaveHandlers: who has to wait for others' uploads holds no handler, and goes on by itself.
func TestUploadsLeaveHandlers(t *testing.T) {
	t.Parallel()
	w := newWorldWithInputs(t)
	w.submit(fromBucket("j1"))
	for range cap(w.pipeline.uploads) {
		w.pipeline.uploads <- struct{}{}
	}
	var s *setback
	if err := w.step(w.due()[0]); !errors.As(err, &s) || s.class != again || w.fake.Totals().Uploads != 0 {
		t.Errorf("got %v after %d uploads", err, w.fake.Totals().Uploads)
	}
	for range cap(w.pipeline.uploads) {
		<-w.pipeline.uploads
	}
	w.run()
	w.checkDone("j1")
}
