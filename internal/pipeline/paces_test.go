package pipeline

import (
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestRenderIsLearnt: every render that ends is counted once, with its time, and the plans follow.
func TestRenderIsLearnt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.submit(requests()[0])
	w.run()
	job := w.checkDone(requests()[0].ID)
	if job.ETA != nil {
		t.Errorf("done, and expected at %v", job.ETA)
	}
	if err := w.pipeline.lookAtRenders(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := w.pipeline.paces.seen[job.Operation]
	if n := seen.Seen(); n < 0.99 || n > 1.01 {
		t.Errorf("%v renders learnt, want 1", n)
	}
	if got := w.pipeline.paces.webhooks; got.Ended != 1 || got.Heard != 0 {
		t.Errorf("webhooks: %+v, want one render ended and none told of", got)
	}
}

// TestETAWhileRendering: whoever asks for a job that renders is told how long it still takes.
func TestETAWhileRendering(t *testing.T) {
	t.Parallel()
	w, info := newPollWorld(t)
	before := w.job(requests()[0].ID)
	if before.ETA == nil || !before.ETA.After(w.clock()) {
		t.Fatalf("bought, and expected at %v", before.ETA)
	}
	if err := w.step(info); err != nil {
		t.Fatal(err)
	}
	job := w.job(requests()[0].ID)
	if job.State != tasks.Rendering || job.PolledAt == nil || job.ETA == nil || job.ETA.Before(*before.ETA) {
		t.Errorf("after a poll: %s, polled at %v, expected at %v", job.State, job.PolledAt, job.ETA)
	}
}

// TestWebhooksAreBelievedWhileTheyCome: a webhook that comes is counted once, however often it is sent, also if the
// poll was faster.
func TestWebhooksAreBelievedWhileTheyCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.receiveWebhooks(magichourtest.Webhooks{Duplicate: true})
	w.submit(requests()[0])
	w.untilStage(tasks.StageDownload)
	w.forward(time.Minute)
	w.delivered()
	w.run()
	if err := w.pipeline.lookAtRenders(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.pipeline.paces.webhooks; got.Ended != 1 || got.Heard != 1 {
		t.Errorf("webhooks: %+v, want one render ended and one told of", got)
	}
	if !w.pipeline.paces.heardAny() {
		t.Error("webhooks come, and nobody knows")
	}
}

// TestTimesGoOnFromThePurchase: what is known of a render's age comes from its own purchase, also when it is
// adopted late, and from the last poll that found it queued.
func TestTimesGoOnFromThePurchase(t *testing.T) {
	t.Parallel()
	job := rendering()
	late := noon.Add(time.Hour)
	job.ProjectAt = &late
	job.Attempts = []tasks.Attempt{{Token: "a", At: noon.Add(-time.Hour), Outcome: tasks.NotCharged}, {Token: "b", At: noon, Outcome: tasks.Charged}}
	if got := began(job); !got.Equal(noon) {
		t.Errorf("began %v, want the purchase at %v", got, noon)
	}
	queued := noon.Add(time.Minute)
	if job.QueuedAt = &queued; !began(job).Equal(queued) {
		t.Errorf("began %v, want %v, when it was queued still", began(job), queued)
	}
	before := noon.Add(-time.Minute)
	if job.QueuedAt = &before; !began(job).Equal(noon) {
		t.Errorf("began %v: queued at %v was the project before", began(job), before)
	}
}
