package pipeline

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// answerLost loses the answer to a create that was charged.
var answerLost = magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset, After: true}

// newParked is a world with a parked job, whose project has ended without that anybody was told.
func newParked(t *testing.T, o magichourtest.Webhooks) *world {
	t.Helper()
	w := newWorld(t, magichourtest.Options{Render: slow})
	w.receiveWebhooks(o)
	w.fake.Inject(answerLost)
	w.submit(requests()[0])
	if err := w.step(w.waiting()[0]); err != nil {
		t.Fatal(err)
	}
	if got := w.job("video").State; got != tasks.Unknown {
		t.Fatalf("got %s, want unknown", got)
	}
	w.forward(time.Minute)
	return w
}

// checkAdopted runs the job to its end, and holds that it was bought once.
func (w *world) checkAdopted(epoch int) {
	w.t.Helper()
	w.run()
	job := w.checkDone("video")
	if job.Epoch != epoch || len(job.Orphans) != 0 || job.Attempts[0].Outcome != tasks.Charged || w.fake.Totals().Creates != 1 {
		w.t.Errorf("got epoch %d, orphans %v, attempts %v after %d creates", job.Epoch, job.Orphans, job.Attempts, w.fake.Totals().Creates)
	}
	if p, _ := w.fake.Project(job.ProjectID); job.CreditsCharged != p.Credits {
		w.t.Errorf("credits: got %d, want %d", job.CreditsCharged, p.Credits)
	}
	if kept, err := w.pipeline.records.Kept(w.t.Context(), "video"); err != nil || len(kept) != 0 {
		w.t.Errorf("still kept: %v, %v", kept, err)
	}
}

// checkParked holds that nothing was adopted, and says whether the sighting is still kept.
func (w *world) checkParked(kept bool) {
	w.t.Helper()
	if job := w.job("video"); job.State != tasks.Unknown || job.ProjectID != "" || len(job.Orphans) != 0 {
		w.t.Errorf("got %s, project %q, orphans %v; want it parked", job.State, job.ProjectID, job.Orphans)
	}
	if got, err := w.pipeline.records.Kept(w.t.Context(), "video"); err != nil || (len(got) > 0) != kept {
		w.t.Errorf("kept: got %v, %v; want %v", got, err, kept)
	}
}

// TestAdoptedAfterPark: the event comes to a job that is parked; once, twice, or in another order.
func TestAdoptedAfterPark(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]magichourtest.Webhooks{"once": {}, "twice": {Duplicate: true}, "completed before started": {Reorder: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newParked(t, o)
			want := 2
			if o.Duplicate {
				want = 4
			}
			w.deliver(want)
			if got := w.fake.Totals().Polls; got != 1 {
				t.Errorf("%d looks at the project, want 1", got)
			}
			if wait := time.Until(w.onlyTask().NextProcessAt); wait > time.Second {
				t.Errorf("the poll of a project that has ended waits for %v", wait)
			}
			w.checkAdopted(2)
		})
	}
}

// TestAdoptedBeforePark: the event comes while the create is under way, and can't be matched, for
// the API does not answer a GET just then. The create that parks the job finds it.
func TestAdoptedBeforePark(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		meddle func(w *world)
		want   tasks.State // before the sweeper has come
	}{
		{"all goes well", func(*world) {}, tasks.Rendering},
		{"the worker dies before it looks", func(w *world) {
			w.on["redis zrangebylex before"] = func() { w.process.kill() }
		}, tasks.Rendering}, // its task runs again
		{"Redis fails when it looks", func(w *world) {
			w.on["redis zrangebylex before"] = func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.fail[len(w.calls)] = errors.New("READONLY") // instead of the answer
			}
		}, tasks.Unknown},
		{"the API fails when it looks", func(w *world) {
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 500})
		}, tasks.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: map[string]time.Duration{"": time.Second}})
			w.receiveWebhooks(magichourtest.Webhooks{})
			w.fake.Inject(answerLost, magichourtest.Fault{Call: magichourtest.Poll, Status: 500, Times: 2})
			w.submit(requests()[0])
			w.on["http POST after"] = func() {
				w.forward(2 * time.Second)
				w.deliver(2)
			}
			tt.meddle(w)
			create := w.waiting()[0]
			if err := w.step(create); errors.Is(err, errKilled) {
				err = w.step(create)
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := w.job("video").State; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			w.sweep()
			w.checkAdopted(2)
		})
	}
}

// TestAdoptedWhileCreating: the token in the name is proof enough, whatever becomes of the answer.
func TestAdoptedWhileCreating(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]magichourtest.Fault{
		"the answer is lost":                 answerLost,
		"the answer is late":                 {},
		"the answer denies the purchase":     {Call: magichourtest.Create, Status: 503, After: true},
		"started comes before the answer":    {},
		"a second worker parks it meanwhile": answerLost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			early := name == "started comes before the answer"
			w.receiveWebhooks(magichourtest.Webhooks{Early: early})
			if fault.Call != "" {
				w.fake.Inject(fault)
			}
			w.submit(requests()[0])
			create, epoch := w.waiting()[0], 1
			if strings.HasPrefix(name, "a second worker") {
				epoch = 2
			}
			w.on["http POST after"] = func() {
				if early {
					return
				}
				if epoch == 2 {
					if err := w.pipeline.Handle(t.Context(), asynq.NewTask(create.Type, create.Payload)); err != nil {
						t.Error(err)
					}
				}
				w.forward(6 * time.Second)
				w.deliver(1)
			}
			if err := w.step(create); err != nil {
				t.Fatal(err)
			}
			if job := w.job("video"); job.State != tasks.Rendering || w.fake.Totals().Polls != 1 {
				t.Errorf("got %s after %d looks", job.State, w.fake.Totals().Polls)
			}
			w.checkAdopted(epoch)
		})
	}
}

// TestNotAdopted: what looks like the project of a parked job, but is not.
func TestNotAdopted(t *testing.T) {
	t.Parallel()
	const guessed = "abcdefghijklmnopqrstuvwxyz"
	tests := []struct {
		name      string
		operation string
		token     string // empty: the job's
		job       string
		meddle    func(w *world)
		kept      bool
	}{
		{"another environment's job of the same id", "text-to-video", guessed, "video", nil, true},
		{"another environment's job", "text-to-video", guessed, "other", nil, false},
		{"wrong kind", "ai-image-generator", "", "video", nil, false},
		{"made before the purchase", "text-to-video", "", "video", func(w *world) {
			w.change("video", func(job *tasks.Job) { job.Attempts[0].At = w.clock().Add(2 * time.Hour) })
		}, false},
		{"of another account", "text-to-video", "", "video", func(w *world) {
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Poll, Status: 404, Times: 9})
		}, true},
		{"claimed by another job meanwhile", "text-to-video", "", "video", func(w *world) {
			w.on["http GET after"] = func() {
				for _, p := range w.fake.Projects() {
					if _, err := w.pipeline.records.Claim(w.t.Context(), p.ID, "other"); err != nil {
						w.t.Error(err)
					}
				}
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.receiveWebhooks(magichourtest.Webhooks{})
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Do: magichourtest.Reset}) // not charged
			w.submit(requests()[0])
			if err := w.step(w.waiting()[0]); err != nil {
				t.Fatal(err)
			}
			token := tt.token
			if token == "" {
				token = w.job("video").Mark().Token
			}
			w.buyByHand(tt.operation, projectName("mine", tt.job, token))
			if tt.meddle != nil {
				tt.meddle(w)
			}
			w.forward(time.Minute)
			if w.delivered() == 0 {
				t.Error("the events were not taken")
			}
			w.checkParked(tt.kept)
			w.sweep()
			w.checkParked(tt.kept)
			w.forward(25 * time.Hour)
			w.sweep()
			w.checkParked(false)
		})
	}
}

// buyByHand makes a project as somebody else with the same account would.
func (w *world) buyByHand(operation, name string) string {
	w.t.Helper()
	request := requests()[slices.IndexFunc(requests(), func(r tasks.Request) bool { return r.Operation == operation })]
	var body map[string]any
	if err := json.Unmarshal(request.Body, &body); err != nil {
		w.t.Fatal(err)
	}
	body["name"] = name
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	op, _ := operations.Lookup(operation)
	created, err := w.pipeline.api.Create(w.t.Context(), op, text, func() error { return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return created.ID
}

// change changes the record of a job behind everybody's back.
func (w *world) change(id string, how func(job *tasks.Job)) {
	w.t.Helper()
	r, err := w.pipeline.load(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.pipeline.update(w.t.Context(), r, func(job *tasks.Job) outcome { how(job); return outcome{} }); err != nil {
		w.t.Fatal(err)
	}
}

// TestForgottenPurchaseIsAdopted: a record from a backup has lost the token of its purchase, and is
// younger than it.
func TestForgottenPurchaseIsAdopted(t *testing.T) {
	t.Parallel()
	forget := func(w *world, outcome tasks.Outcome) {
		w.change("video", func(job *tasks.Job) {
			job.Attempts = []tasks.Attempt{{At: w.clock().Add(time.Hour), Outcome: outcome}}
		})
	}
	w := newParked(t, magichourtest.Webhooks{})
	forget(w, "")
	w.deliver(2)
	w.checkAdopted(2)

	decided := newParked(t, magichourtest.Webhooks{})
	forget(decided, tasks.NotCharged)
	decided.deliver(2)
	decided.checkParked(true)
}

// TestAdoptionOfAnEndedJob: what a person has ended stays ended, and says what was bought for it.
func TestAdoptionOfAnEndedJob(t *testing.T) {
	t.Parallel()
	w := newParked(t, magichourtest.Webhooks{})
	w.change("video", func(job *tasks.Job) { job.State = tasks.Canceled })
	w.deliver(2)
	project := w.fake.Projects()[0].ID
	job := w.job("video")
	if job.State != tasks.Canceled || job.ProjectID != "" || !slices.Contains(job.Orphans, project) || len(job.Warnings) != 1 {
		t.Errorf("got %s, project %q, orphans %v, warnings %v", job.State, job.ProjectID, job.Orphans, job.Warnings)
	}
	if ttl := w.redis.TTL("hourglass:{fleet}:project:" + project); ttl <= 0 {
		t.Errorf("the claim stays for ever (%v)", ttl)
	}
}

// TestSecondProjectOfOneCreate: a proxy that repeats a POST buys twice; the second project is not
// followed, and not hidden.
func TestSecondProjectOfOneCreate(t *testing.T) {
	t.Parallel()
	w := newParked(t, magichourtest.Webhooks{})
	second := w.buyByHand("text-to-video", w.fake.Projects()[0].Name)
	w.forward(time.Minute)
	w.deliver(4)
	if job := w.job("video"); job.State != tasks.Rendering || job.ProjectID == second || !slices.Contains(job.Orphans, second) {
		t.Errorf("got %s of %q, orphans %v", job.State, job.ProjectID, job.Orphans)
	}
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	job := &tasks.Job{Status: tasks.Status{ID: "j1", Kind: "video", CreatedAt: noon}}
	token := newToken()
	seen := records.Sighting{Job: "j1", Token: token, Kind: "video", Project: "p1"}
	known, lost := tasks.Attempt{Token: token, At: noon.Add(time.Hour)}, tasks.Attempt{At: noon.Add(time.Hour)}
	name := magichour.Text(projectName("robot", "j1", token))
	at := func(d time.Duration) magichour.Time { return magichour.Time{Time: noon.Add(time.Hour + d)} }
	tests := []struct {
		name    string
		attempt tasks.Attempt
		project magichour.Project
		want    string
	}{
		{"made after the mark", known, magichour.Project{Name: name, CreatedAt: at(time.Second)}, ""},
		{"by a clock that is behind", known, magichour.Project{Name: name, CreatedAt: at(-clockLag)}, ""},
		{"made before the mark", known, magichour.Project{Name: name, CreatedAt: at(-clockLag - time.Second)}, "before the purchase"},
		{"nobody knows when", known, magichour.Project{Name: name}, "before the purchase"},
		{"lost token, made before the record came back", lost, magichour.Project{Name: name, CreatedAt: at(-time.Hour)}, ""},
		{"lost token, made before the job", lost, magichour.Project{Name: name, CreatedAt: at(-2 * time.Hour)}, "before the purchase"},
		{"renamed", known, magichour.Project{Name: "robot", CreatedAt: at(0)}, "name"},
		{"renamed after another job", known, magichour.Project{Name: magichour.Text(projectName("robot", "x-j1", token)), CreatedAt: at(0)}, "name"},
		{"without a name", known, magichour.Project{CreatedAt: at(0)}, "name"},
	}
	for _, tt := range tests {
		if got := unfit(job, tt.attempt, seen, tt.project); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSightingOf(t *testing.T) {
	t.Parallel()
	const token = "abcdefghijklmnopqrstuvwxyz"
	for name, want := range map[string]string{
		projectName("", "j1", newToken()):         "j1",
		projectName("clip 7 [x~y]", "j.1", token): "j.1",
		"clip [j1~" + token + "] ":                "j1",
		"clip [j1~" + token + "] (2)":             "",
		"[j1~short]":                              "",
		"[j/1~" + token + "]":                     "",
		"[~" + token + "]":                        "",
		"":                                        "",
	} {
		seen, tagged := sightingOf(magichour.Event{Name: name, Kind: operations.Video, Project: "p"})
		if seen.Job != want || tagged != (want != "") {
			t.Errorf("%q: got %+v, %v; want %q", name, seen, tagged, want)
		}
	}
}

// TestRestoredJobIsAdopted: Redis came back from a backup and does not know of a purchase; the
// webhook of the project does, before the job is parked or after.
func TestRestoredJobIsAdopted(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"webhook after park": true, "webhook before park": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, magichourtest.Options{Render: slow})
			w.receiveWebhooks(magichourtest.Webhooks{})
			w.fake.Inject(magichourtest.Fault{Call: magichourtest.Create, Status: 429})
			w.submit(requests()[0])
			if err := w.step(w.waiting()[0]); err == nil {
				t.Fatal("not throttled")
			}
			w.buyByHand("text-to-video", projectName("robot", "video", newToken()))
			w.forward(time.Minute)
			if !late {
				w.deliver(2)
			}
			for job, err := range w.client.ParkRestored(t.Context(), w.clock()) {
				if err != nil || job.State != tasks.Unknown {
					t.Errorf("got %+v, %v", job, err)
				}
			}
			if late {
				w.deliver(2)
			} else {
				w.sweep()
			}
			w.run()
			if job := w.checkDone("video"); w.fake.Totals().Creates != 1 || len(job.Orphans) != 0 {
				t.Errorf("%d creates, orphans %v", w.fake.Totals().Creates, job.Orphans)
			}
		})
	}
}
