package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
)

var update = flag.Bool("update", false, "write the golden files of a new version; never change an old one")

// The golden files are what stands in somebody's Redis. What this package writes may gain fields
// under a new name of a file; the files that are here stay decodable for ever.

var epoch = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func sampleJob() *Job {
	at := epoch.Add(time.Minute)
	deleted, reason := RemoteDeleted, "it was gone before the cleanup"
	return &Job{
		Status: Status{
			V: 1, ID: "j1", Operation: "ai-image-generator", Kind: "image", State: Done, ProjectID: "cmp1", CreditsCharged: 10, Polls: 3,
			Outputs: []Output{{N: 1, Key: "media/j1/1.png", URL: "s3://bucket/media/j1/1.png", Size: 123, Checksum: "crc64nvme:AAAAAAAAAAA=", ContentType: "image/png"}},
			Remote:  &deleted, RemoteReason: &reason,
			Error:     &Error{Stage: "create", Code: "unknown_outcome", Message: "the answer was lost", Hint: "look for the project"},
			Hold:      &Hold{Code: "insufficient_credits", Message: "buy <more> & wait", Since: epoch},
			Warnings:  []string{"model: not a value this version knows; sent as it is"},
			CreatedAt: epoch, UpdatedAt: at, StoredAt: &at, DoneAt: &at,
		},
		Body:         []byte(`{"image_count":1,"style":{"prompt":"<tin> & robot"}}`),
		Options:      Options{Overwrite: true},
		Epoch:        2,
		Attempts:     []Attempt{{Token: "a1", At: epoch, Outcome: NotCharged}, {Token: "a2", At: epoch, Outcome: Charged}, {Token: "a3", At: epoch}},
		StateAt:      at,
		RemoteStatus: "complete",
		ProjectAt:    &at,
		Sources:      []Source{{N: 1, Path: "/p/output.png", Checksum: "crc64nvme:AAAAAAAAAAA="}},
		Orphans:      []string{"cmp2"},
	}
}

func samplePayloads() map[string]Payload {
	h := Header{V: 1, JobID: "j1", Epoch: 2, Operation: "ai-image-generator"}
	return map[string]Payload{
		"create.v1.json":   &Create{Header: h, Body: sampleJob().Body, JobOptions: Options{Overwrite: true}, CreatedAt: epoch},
		"poll.v1.json":     &Poll{Header: h, ProjectID: "cmp1", N: 3, Status: "rendering"},
		"download.v1.json": &Download{Header: h, ProjectID: "cmp1"},
		"cleanup.v1.json":  &Cleanup{Header: h, ProjectID: "cmp1"},
	}
}

func TestGoldenPayloads(t *testing.T) {
	t.Parallel()
	for name, want := range samplePayloads() {
		text, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(asynq.NewTask(want.Stage().Type(), golden(t, name, text)))
		if err != nil {
			t.Errorf("%s can't be decoded any more: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestGoldenRecord(t *testing.T) {
	t.Parallel()
	text, err := sampleJob().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeJob(golden(t, "job.v1.json", text))
	if err != nil {
		t.Fatalf("job.v1.json can't be decoded any more: %v", err)
	}
	if diff := cmp.Diff(sampleJob(), got); diff != "" {
		t.Errorf("job.v1.json (-want +got):\n%s", diff)
	}
}

// golden returns the golden file, after it has compared what is written today with it.
func golden(t *testing.T, name string, written []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, written, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, written) {
		t.Errorf("%s differs from what is written today:\n%s", name, cmp.Diff(string(text), string(written)))
	}
	if bytes.ContainsRune(written, '\n') {
		t.Errorf("%s: the dashboard wants it without newlines", name)
	}
	return text
}

func TestDecodeToleratesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	p, err := Decode(asynq.NewTask("hourglass:poll", []byte(`{"v":1,"job_id":"j1","epoch":1,"poll":2,"later":{"x":1}}`)))
	if err != nil {
		t.Fatal(err)
	}
	if got := p.(*Poll).N; got != 2 {
		t.Errorf("poll number: got %d, want 2", got)
	}
	job, err := DecodeJob([]byte(`{"v":1,"id":"j1","state":"rendering","later":{"x":[1]},"sooner":"<&>"}`))
	if err != nil || job.State != Rendering {
		t.Fatalf("record with unknown fields: got %+v, %v", job, err)
	}
	text, err := job.Clone().Encode()
	if err != nil || !json.Valid(text) || !bytes.HasSuffix(text, []byte(`,"later":{"x":[1]},"sooner":"<&>"}`)) {
		t.Errorf("the unknown fields are not kept: %s, %v", text, err)
	}
}

func TestLaterVersionsAreNotBroken(t *testing.T) {
	t.Parallel()
	if _, err := Decode(asynq.NewTask("hourglass:poll", []byte(`{"v":2,"job_id":"j1","epoch":1,"poll":2}`))); !errors.Is(err, ErrVersion) {
		t.Errorf("payload: got %v, want ErrVersion", err)
	}
	if _, err := DecodeJob([]byte(`{"v":2,"id":"j1"}`)); !errors.Is(err, ErrVersion) {
		t.Errorf("record: got %v, want ErrVersion", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, taskType, payload string }{
		{"not JSON", "hourglass:poll", `poll me`},
		{"wrong type of a field", "hourglass:poll", `{"v":1,"job_id":"j1","epoch":1,"poll":"two"}`},
		{"no stage's task", "hourglass:polls", `{"v":1,"job_id":"j1","epoch":1}`},
		{"later version", "hourglass:poll", `{"v":2,"job_id":"j1","epoch":1,"poll":2}`},
		{"no version", "hourglass:poll", `{"job_id":"j1","epoch":1}`},
		{"no epoch", "hourglass:poll", `{"v":1,"job_id":"j1"}`},
		{"id that is a path", "hourglass:poll", `{"v":1,"job_id":"../j1","epoch":1}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if p, err := Decode(asynq.NewTask(tt.taskType, []byte(tt.payload))); err == nil {
				t.Errorf("accepted: %+v", p)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range samplePayloads() {
		text, err := encode(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p.Stage().Type(), text)
	}
	f.Fuzz(func(t *testing.T, taskType string, payload []byte) {
		p, err := Decode(asynq.NewTask(taskType, payload))
		if err == nil && CheckID(p.Head().JobID) != nil {
			t.Errorf("accepted the id %q", p.Head().JobID)
		}
	})
}
