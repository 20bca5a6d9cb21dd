package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// request returns the i-th request of a mix of three operations.
func request(i int) tasks.Request {
	return []tasks.Request{
		{ID: fmt.Sprintf("job-%d", i), Operation: "text-to-video", Body: []byte(fmt.Sprintf(`{"name":"clip %d","end_seconds":5,"style":{"prompt":"a tin robot"}}`, i))},
		{ID: fmt.Sprintf("job-%d", i), Operation: "ai-image-generator", Body: []byte(`{"image_count":4,"style":{"prompt":"a tin robot"}}`)},
		{ID: fmt.Sprintf("job-%d", i), Operation: "ai-voice-generator", Body: []byte(`{"style":{"prompt":"hello","voice_name":"Morgan Freeman"}}`)},
	}[i%3]
}

// TestSixtyJobs: two workers, sixty jobs of three operations, half of them by the command line
// and half as bare tasks.
func TestSixtyJobs(t *testing.T) {
	t.Parallel()
	const jobs = 60
	f := newFleet(t, "--time-scale", "0.02")
	f.startWorker()
	f.startWorker()
	var ids []string
	for i := range jobs {
		r := request(i)
		ids = append(ids, r.ID)
		if i%2 == 0 {
			out, stderr, code := f.enqueue("submit", r.Operation, "--id", r.ID, "--body", string(r.Body))
			if code != 0 || out != r.ID+"\n" {
				t.Fatalf("submit: exit %d, %q, %s", code, out, stderr)
			}
			continue
		}
		task, err := tasks.NewCreate(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.queue.Enqueue(task); err != nil {
			t.Fatal(err)
		}
	}
	out, stderr, code := f.enqueue(append([]string{"wait", "--timeout", "2m", "--json"}, ids...)...)
	if code != 0 || strings.Count(out, "\n") != jobs {
		t.Fatalf("wait: exit %d with %d lines: %s\n%s", code, strings.Count(out, "\n"), stderr, out)
	}
	f.checkRoad(out, jobs)
}

// checkRoad holds that so many jobs went all the way, each once: it reads what wait --json printed.
func (f *fleet) checkRoad(out string, jobs int) {
	f.t.Helper()
	outputs := 0
	for line := range strings.Lines(out) {
		var s tasks.Status
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			f.t.Fatal(err)
		}
		outputs += len(s.Outputs)
		f.checkJob(s)
	}
	if got, want := f.totals(), (totals{Creates: jobs, Downloads: outputs, Deletes: jobs}); got.Creates != want.Creates || got.Downloads != want.Downloads || got.Deletes != want.Deletes || got.Violations != 0 {
		f.t.Errorf("the API saw %+v, want %+v", got, want)
	}
	f.checkDeletes()
	f.checkSecrets()
}

// manifest is the part of a manifest that tells which file came from where.
type manifest struct {
	ProjectID string `json:"project_id"`
	Outputs   []struct {
		tasks.Output
		Source string `json:"source"`
	}
}

// checkJob compares every file of a done job with what the API has made, byte by byte.
func (f *fleet) checkJob(s tasks.Status) {
	f.t.Helper()
	want := f.outputs(s.ID)
	if s.State != tasks.Done || s.Remote == nil || *s.Remote != tasks.RemoteDeleted || len(s.Outputs) != want || s.Polls < 1 || s.CreditsCharged < 1 {
		f.t.Errorf("%s: got %+v", s.ID, s)
		return
	}
	m := f.manifest(s.ID)
	var truth []struct {
		N    int
		Path string
	}
	f.get(f.api+"/_fake/projects/"+s.ProjectID+"/outputs", &truth)
	if m.ProjectID != s.ProjectID || len(m.Outputs) != len(s.Outputs) || len(truth) != len(s.Outputs) {
		f.t.Errorf("%s: status, manifest and API disagree: %+v, %+v, %+v", s.ID, s.Outputs, m, truth)
		return
	}
	for i, o := range m.Outputs {
		if o.Output != s.Outputs[i] || o.N != i+1 || !strings.HasPrefix(o.URL, "s3://media/out/"+s.ID+"/") {
			f.t.Errorf("%s: manifest and status differ: %+v, %+v", s.ID, o, s.Outputs[i])
		}
		stored, err := os.ReadFile(filepath.Join(f.s3.Dir, "media", o.Key))
		if err != nil {
			f.t.Error(err)
			continue
		}
		n := 0
		for _, file := range truth {
			if file.Path == o.Source {
				n = file.N
			}
		}
		var remote []byte
		f.get(fmt.Sprintf("%s/_fake/projects/%s/outputs/%d", f.api, s.ProjectID, n), &remote)
		if n == 0 || !bytes.Equal(stored, remote) || int64(len(stored)) != o.Size {
			f.t.Errorf("%s: %s (%d bytes) differs from %s (%d bytes)", s.ID, o.Key, len(stored), o.Source, len(remote))
		}
	}
}

// outputs is how many files the request of a job asks for.
func (f *fleet) outputs(id string) int {
	f.t.Helper()
	job, err := f.client.Job(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	op, _ := operations.Lookup(job.Operation)
	return op.Outputs(job.Body)
}

func (f *fleet) manifestFile(id string) string {
	return filepath.Join(f.s3.Dir, "media", "out", id, "manifest.json")
}

func (f *fleet) manifest(id string) (m manifest) {
	f.t.Helper()
	text, err := os.ReadFile(f.manifestFile(id))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		f.t.Fatal(err)
	}
	return m
}

// checkDeletes holds the ledger of the API against the clock of the store: every DELETE came
// after the manifest, and the manifest after the files.
func (f *fleet) checkDeletes() {
	f.t.Helper()
	var ledger struct {
		Events []struct {
			At            time.Time
			Kind, Project string
			Status        int
		}
	}
	f.get(f.api+"/_fake/ledger", &ledger)
	deleted := map[string]time.Time{}
	for _, e := range ledger.Events {
		if e.Kind == "delete" && e.Status == 204 {
			deleted[e.Project] = e.At
		}
	}
	folders, err := os.ReadDir(filepath.Join(f.s3.Dir, "media", "out"))
	if err != nil {
		f.t.Fatal(err)
	}
	checked := 0
	for _, folder := range folders {
		if strings.HasPrefix(folder.Name(), ".") {
			continue
		}
		m := f.manifest(folder.Name())
		proof := modified(f.t, f.manifestFile(folder.Name()))
		for _, o := range m.Outputs {
			if file := modified(f.t, filepath.Join(f.s3.Dir, "media", o.Key)); file.After(proof) {
				f.t.Errorf("%s was written after its manifest", o.Key)
			}
		}
		if at, found := deleted[m.ProjectID]; !found || at.Before(proof) {
			f.t.Errorf("%s: deleted at %v, proved at %v", folder.Name(), at, proof)
		}
		checked++
	}
	if checked != len(deleted) || checked == 0 {
		f.t.Errorf("%d deletes, %d manifests", len(deleted), checked)
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}
