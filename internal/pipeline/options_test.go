package pipeline

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestOptionsOfTheCaller: where the files go, what is written beside them, and that the project may be kept.
func TestOptionsOfTheCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{})
	r := images()
	r.Options = tasks.Options{KeyPrefix: "acme/2026", Metadata: map[string]string{"order": "4711"}, KeepRemote: true, Tenant: "acme"}
	w.submit(r)
	w.run()
	job := w.job("images")
	if job.State != tasks.Done || *job.Remote != tasks.RemoteKept || *job.RemoteReason != keptReason || w.fake.Totals().Deletes != 0 {
		t.Errorf("got %s, remote %v because %v, %d deletes; want it kept", job.State, job.Remote, job.RemoteReason, w.fake.Totals().Deletes)
	}
	for _, o := range job.Outputs {
		if _, err := w.store.Head(t.Context(), "acme/2026/images/"+o.Key[len(o.Key)-5:]); err != nil {
			t.Errorf("output %d stands at %s: %v", o.N, o.Key, err)
		}
	}
	body, err := w.store.Open(t.Context(), "acme/2026/images/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	var m manifest
	if text, err := io.ReadAll(body); err != nil || json.Unmarshal(text, &m) != nil || m.Metadata["order"] != "4711" || m.Tenant != "acme" {
		t.Errorf("manifest: got %s, %v", text, err)
	}
}
