package pipeline

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/pace"
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
	if got := w.pipeline.paces.webhooks[operations.Video]; got.Ended != 1 || got.Heard != 0 {
		t.Errorf("webhooks: %+v, want one render ended and none told of", got)
	}
}

// TestETAWhileRendering: whoever asks for a job that renders is told how long it still takes, unless it stands in a queue.
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
	if job.State != tasks.Rendering || job.PolledAt == nil || job.RemoteStatus != magichour.StatusQueued || job.ETA != nil {
		t.Errorf("after a poll: %s, polled at %v, %s, expected at %v", job.State, job.PolledAt, job.RemoteStatus, job.ETA)
	}
}

// TestWebhooksAreBelievedWhileTheyCome: a webhook that comes is counted once, however often it is sent, also if the
// poll was a little faster.
func TestWebhooksAreBelievedWhileTheyCome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		late  time.Duration
		heard float64
	}{
		{"at once", 0, 1},
		{"a moment after the poll", 5 * time.Second, 1},
		{"long after it", time.Minute, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.receiveWebhooks(magichourtest.Webhooks{Duplicate: true})
			w.submit(requests()[0])
			if tt.late == 0 {
				w.untilStage(tasks.StagePoll)
				w.forward(time.Minute) // it is ready
			} else {
				w.untilStage(tasks.StageDownload)
				w.forward(tt.late)
			}
			w.delivered()
			w.run()
			if err := w.pipeline.lookAtRenders(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.pipeline.paces.webhooks[operations.Video]; got.Ended != 1 || got.Heard != tt.heard {
				t.Errorf("webhooks: %+v, want one render ended and %v told of", got, tt.heard)
			}
			if got := w.pipeline.paces.webhooks[operations.Image]; got != (pace.Webhooks{}) {
				t.Errorf("webhooks of images: %+v", got)
			}
		})
	}
}

// TestLearntTime: what is learnt of a render's time is as sure as what was seen of it, and nothing is learnt of what
// can't be.
func TestLearntTime(t *testing.T) {
	t.Parallel()
	const polled, now = 10 * time.Minute, 20 * time.Minute // after the purchase
	for _, tt := range []struct {
		name          string
		polled, now   time.Duration
		heard         time.Duration // 0: not
		least, most   time.Duration // what is believed
		within        time.Duration // that it was noticed
		nothingLearnt bool
	}{
		{"by polls alone", polled, now, 0, polled, now, now - polled, false},
		{"by a webhook", polled, now, 12 * time.Minute, 12*time.Minute - webhookLag, 12 * time.Minute, 8*time.Minute + webhookLag, false},
		{"by a webhook that came before the last poll", polled, now, 9 * time.Minute, polled, now, now - polled, false},
		{"by a webhook that was long under way", polled, 90 * time.Minute, 80 * time.Minute, polled, 80 * time.Minute, 80 * time.Minute, false},
		{"after a day", polled, 25 * time.Hour, 0, 0, 0, 25*time.Hour - polled, true},
		{"by a clock that is behind", polled, 9 * time.Minute, 0, 0, 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			seen := &witness{}
			w.pipeline.ObserveBy(seen)
			bought := w.clock()
			at := bought.Add(tt.polled)
			job := &tasks.Job{Status: tasks.Status{ID: "j", Operation: "video-to-video", Kind: "video", State: tasks.Rendering, ProjectID: "p"}, ProjectAt: &bought, PolledAt: &at}
			w.pipeline.now = func() time.Time { return bought.Add(tt.now) }
			heard := time.Time{}
			if tt.heard > 0 {
				heard = bought.Add(tt.heard)
			}
			if err := w.pipeline.learnTime(t.Context(), job, heard); err != nil {
				t.Fatal(err)
			}
			learnt, err := w.pipeline.records.Renders(t.Context(), []string{job.Operation})
			if err != nil || (len(learnt[job.Operation]) == 0) != tt.nothingLearnt {
				t.Fatalf("learnt %v (%v)", learnt, err)
			}
			var least, most pace.Picture
			least.Add(pace.NewPlan(time.Minute, &least, pace.Aim{}).Parts(tt.least, tt.least))
			most.Add(pace.NewPlan(time.Minute, &most, pace.Aim{}).Parts(tt.most, tt.most))
			for _, weight := range learnt[job.Operation] {
				if weight.Bucket < slices.IndexFunc(least[:], positive) || weight.Bucket > slices.IndexFunc(most[:], positive) {
					t.Errorf("learnt %v, want between %s and %s", learnt, tt.least, tt.most)
				}
			}
			if len(seen.noticed) != 1 || seen.noticed[0] != tt.within {
				t.Errorf("noticed within %v, want %s", seen.noticed, tt.within)
			}
		})
	}
}

// TestLearntAfterAQueue: a render that stood in a queue took at least the time that polls saw it render, and at most the
// time since one last saw it queued; a queue of an earlier project is none of its.
func TestLearntAfterAQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, magichourtest.Options{Render: slow})
	bought := w.clock()
	after := func(d time.Duration) *time.Time { at := bought.Add(d); return &at }
	for _, tt := range []struct {
		name              string
		queued, rendering time.Duration
		least, most       time.Duration
	}{
		{"in a queue", 2 * time.Minute, 9 * time.Minute, time.Minute, 10 * time.Minute},
		{"of an earlier project", -time.Hour, -50 * time.Minute, 10 * time.Minute, 12 * time.Minute},
	} {
		job := &tasks.Job{
			Status:    tasks.Status{ID: "j", Operation: "video-to-video", Kind: "video", State: tasks.Rendering, ProjectID: "p"},
			ProjectAt: after(0), PolledAt: after(10 * time.Minute), QueuedAt: after(tt.queued), RenderingAt: after(tt.rendering),
		}
		w.pipeline.now = func() time.Time { return bought.Add(12 * time.Minute) }
		if err := w.pipeline.learnTime(t.Context(), job, time.Time{}); err != nil {
			t.Fatal(err)
		}
		learnt, err := w.pipeline.records.Renders(t.Context(), []string{job.Operation})
		if err != nil {
			t.Fatal(err)
		}
		var least, most pace.Picture
		least.Add(pace.NewPlan(time.Minute, &least, pace.Aim{}).Parts(tt.least, tt.least))
		most.Add(pace.NewPlan(time.Minute, &most, pace.Aim{}).Parts(tt.most, tt.most))
		first, last := pace.Buckets, 0
		for _, weight := range learnt[job.Operation] {
			first, last = min(first, weight.Bucket), max(last, weight.Bucket)
		}
		from, to := slices.IndexFunc(least[:], positive), slices.IndexFunc(most[:], positive)
		if first < from || last > to || tt.queued > 0 && first > slices.IndexFunc(most[:], positive)-5 {
			t.Errorf("%s: learnt buckets %d to %d, want %d to %d", tt.name, first, last, from, to)
		}
		w.redis.FlushAll()
	}
}

func positive(n float64) bool { return n > 0 }

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
