package pipeline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// at returns a pipeline without an outside, whose clock stands.
func at(now time.Time) *Pipeline {
	return &Pipeline{now: func() time.Time { return now }, set: Settings{PollInterval: time.Second, GiveUp: 24 * time.Hour, RecordTTL: 168 * time.Hour}}
}

func rendering() *tasks.Job {
	created := noon
	return &tasks.Job{
		Status: tasks.Status{ID: "j1", Operation: "ai-image-generator", Kind: "image", State: tasks.Rendering, ProjectID: "p1", Polls: 3, CreatedAt: noon},
		Body:   []byte(`{"image_count":2,"style":{"prompt":"x"}}`), Epoch: 1, ProjectAt: &created,
	}
}

func downloads(paths ...string) []magichour.Download {
	var d []magichour.Download
	for _, path := range paths {
		d = append(d, magichour.Download{URL: "https://media.invalid" + path + "?sig=x"})
	}
	return d
}

// TestOwnGiveUp: a job may have a give-up time of its own, shorter or longer than the workers'.
func TestOwnGiveUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		own, age time.Duration
		want     tasks.State
	}{
		{time.Hour, 59 * time.Minute, tasks.Rendering},
		{time.Hour, 61 * time.Minute, tasks.Failed},
		{72 * time.Hour, 71 * time.Hour, tasks.Rendering},
		{0, 25 * time.Hour, tasks.Failed},
	} {
		job := rendering()
		job.Options.GiveUp = tasks.Duration(tt.own)
		at(noon.Add(tt.age)).afterPoll(job, magichour.Project{Status: "rendering"})
		if job.State != tt.want {
			t.Errorf("own time %s, age %s: got %s, want %s", tt.own, tt.age, job.State, tt.want)
		}
	}
}

func TestAfterPoll(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		after   time.Duration // since the job was made
		project magichour.Project
		state   tasks.State
		polls   int
		code    string
	}{
		{"still queued", time.Minute, magichour.Project{Status: "queued"}, tasks.Rendering, 4, ""},
		{"still rendering", time.Minute, magichour.Project{Status: "rendering"}, tasks.Rendering, 4, ""},
		{"a draft", time.Minute, magichour.Project{Status: "draft"}, tasks.Rendering, 4, ""},
		{"a status nobody knows", time.Minute, magichour.Project{Status: "pondering"}, tasks.Rendering, 4, ""},
		{"complete", time.Minute, magichour.Project{Status: "complete", Downloads: downloads("/a.png", "/b.png")}, tasks.Storing, 3, ""},
		{"complete, but no files", time.Minute, magichour.Project{Status: "complete"}, tasks.Rendering, 4, ""},
		{"complete, but one file of two", time.Minute, magichour.Project{Status: "complete", Downloads: downloads("/a.png")}, tasks.Rendering, 4, ""},
		{"complete, but a file has no URL yet", time.Minute, magichour.Project{Status: "complete", Downloads: append(downloads("/a.png", "/b.png"), magichour.Download{})}, tasks.Rendering, 4, ""},
		{"complete with more files than wanted", time.Minute, magichour.Project{Status: "complete", Downloads: downloads("/a.png", "/b.png", "/c.png")}, tasks.Storing, 3, ""},
		{"failed", time.Minute, magichour.Project{Status: "error", Error: &magichour.ProjectError{Code: "no_source_face", Message: "no face"}}, tasks.Failed, 3, "no_source_face"},
		{"failed without a word", time.Minute, magichour.Project{Status: "error"}, tasks.Failed, 3, "unknown_error"},
		{"canceled", time.Minute, magichour.Project{Status: "canceled"}, tasks.Canceled, 3, ""},
		{"rendering for too long", 25 * time.Hour, magichour.Project{Status: "rendering"}, tasks.Failed, 3, "gave_up"},
		{"complete at last", 25 * time.Hour, magichour.Project{Status: "complete", Downloads: downloads("/a.png", "/b.png")}, tasks.Storing, 3, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			job := rendering()
			tt.project.CreditsCharged = 7
			out := at(noon.Add(tt.after)).afterPoll(job, tt.project)
			if job.State != tt.state || job.Polls != tt.polls {
				t.Errorf("got %s at poll %d, want %s at poll %d", job.State, job.Polls, tt.state, tt.polls)
			}
			if job.CreditsCharged != 7 {
				t.Errorf("credits: got %d, want 7", job.CreditsCharged)
			}
			if tt.code != "" && (job.Error == nil || job.Error.Code != tt.code || job.Error.Hint == "" || out.err == nil) {
				t.Errorf("got error %+v and %v for the queue, want code %s with a hint, and the task archived", job.Error, out.err, tt.code)
			}
			if job.State == tasks.Rendering && out.in == 0 {
				t.Error("the next poll is not delayed")
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	sources := []tasks.Source{{N: 1, Path: "/a"}, {N: 2, Path: "/b"}}
	tests := []struct {
		name      string
		sources   []tasks.Source
		downloads []magichour.Download
		want      []string // paths by number
	}{
		{"the same order", sources, downloads("/a", "/b"), []string{"/a", "/b"}},
		{"another order", sources, downloads("/b", "/a"), []string{"/a", "/b"}},
		{"one is missing", sources, downloads("/a"), nil},
		{"one is new", sources, downloads("/a", "/b", "/c"), nil},
		{"one has changed", sources, downloads("/a", "/c"), nil},
		{"one twice", sources, downloads("/a", "/a"), nil},
		{"two that can't be told apart", []tasks.Source{{N: 1, Path: "/a"}, {N: 2, Path: "/a"}}, downloads("/a", "/a"), nil},
		{"nothing proves nothing", nil, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			links, same := match(tt.sources, tt.downloads)
			if same != (tt.want != nil) {
				t.Fatalf("same: got %v, want %v", same, tt.want != nil)
			}
			for i, path := range tt.want {
				if got := links[i+1].Path(); got != path {
					t.Errorf("output %d: got %s, want %s", i+1, got, path)
				}
			}
		})
	}
}

func TestExtension(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, contentType, want string }{
		{"/p/output.mp4", "", "mp4"}, {"/p/output.PNG", "image/jpeg", "PNG"}, {"/p/output", "image/jpeg", "jpg"},
		{"/p/output", "audio/x-wav; rate=1", "wav"}, {"/p/output", "", "bin"}, {"/p/output", "application/x-unheard", "bin"},
		{"/p/output.verylongext", "video/mp4", "mp4"}, {"/p/output.a%2Fb", "video/mp4", "mp4"}, {"/p.dir/output", "video/mp4", "mp4"}, {"/p/.", "video/mp4", "mp4"},
	} {
		if got := extension(tt.path, tt.contentType); got != tt.want {
			t.Errorf("%s of %q: got %s, want %s", tt.path, tt.contentType, got, tt.want)
		}
	}
}

// marked returns a job in a state, whose mark is the token "mine".
func marked(state tasks.State) *tasks.Job {
	return &tasks.Job{
		Status:   tasks.Status{ID: "j1", State: state, CreatedAt: noon},
		Epoch:    1,
		Attempts: []tasks.Attempt{{Token: "earlier", Outcome: tasks.NotCharged}, {Token: "mine"}},
	}
}

// TestBought: the truth that comes late is taken, whatever has happened meanwhile.
func TestBought(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		state   tasks.State
		project string
		want    tasks.State
		epoch   int
		orphans []string
	}{
		{"in time", tasks.Creating, "", tasks.Rendering, 1, nil},
		{"parked meanwhile", tasks.Unknown, "", tasks.Rendering, 2, nil},
		{"given back meanwhile", tasks.Pending, "", tasks.Rendering, 2, nil},
		{"canceled meanwhile", tasks.Canceled, "", tasks.Canceled, 1, []string{"p1"}},
		{"bought a second time", tasks.Rendering, "p0", tasks.Rendering, 1, []string{"p1"}},
		{"known already", tasks.Storing, "p1", tasks.Storing, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			job := marked(tt.state)
			job.ProjectID = tt.project
			for range 2 {
				bought(job, "mine", magichour.Created{ID: "p1", CreditsCharged: 5}, noon)
			}
			if job.State != tt.want || job.Epoch != tt.epoch {
				t.Errorf("got %s in epoch %d, want %s in epoch %d", job.State, job.Epoch, tt.want, tt.epoch)
			}
			if diff := cmp.Diff(tt.orphans, job.Orphans); diff != "" {
				t.Errorf("orphans (-want +got):\n%s", diff)
			}
			if len(job.Warnings) != len(tt.orphans) {
				t.Errorf("warnings: got %q, want one for each orphan", job.Warnings)
			}
			if job.Mark() != nil {
				t.Error("the mark still stands")
			}
		})
	}
}

// TestReturned: only the holder of a mark gives it back.
func TestReturned(t *testing.T) {
	t.Parallel()
	mild := verdict{class: transient, code: "trouble", message: "503"}
	tests := []struct {
		name    string
		state   tasks.State
		token   string
		verdict verdict
		retried int
		want    tasks.State
		epoch   int
		again   bool // the queue runs the same task again
	}{
		{"again", tasks.Creating, "mine", mild, 0, tasks.Pending, 1, true},
		{"again, for hours", tasks.Creating, "mine", mild, 99, tasks.Pending, 1, true},
		{"refused for good", tasks.Creating, "mine", verdict{class: permanent, code: "invalid"}, 0, tasks.Failed, 1, false},
		{"held", tasks.Creating, "mine", verdict{class: held, code: "insufficient_credits"}, 9, tasks.Pending, 1, true},
		{"parked meanwhile by another worker", tasks.Unknown, "mine", mild, 0, tasks.Pending, 2, false},
		{"canceled meanwhile", tasks.Canceled, "mine", mild, 0, tasks.Canceled, 1, false},
		{"somebody else's mark", tasks.Creating, "earlier", mild, 0, tasks.Creating, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			job := marked(tt.state)
			out := at(noon).returned(tt.token, tt.verdict, tt.retried)(job)
			if job.State != tt.want || job.Epoch != tt.epoch {
				t.Errorf("got %s in epoch %d, want %s in epoch %d", job.State, job.Epoch, tt.want, tt.epoch)
			}
			if again := out.err != nil && tt.want == tasks.Pending; again != tt.again {
				t.Errorf("run again by the queue: got %v (%v), want %v", again, out.err, tt.again)
			}
			if tt.again != (job.Hold != nil) {
				t.Errorf("hold: got %+v", job.Hold)
			}
			if foreign := tt.token != "mine"; foreign != (job.Mark() != nil) {
				t.Errorf("mark: got %+v", job.Mark())
			}
		})
	}
}

func TestParked(t *testing.T) {
	t.Parallel()
	for state, want := range map[tasks.State]tasks.State{
		tasks.Creating: tasks.Unknown, tasks.Pending: tasks.Unknown, tasks.Canceled: tasks.Canceled, tasks.Rendering: tasks.Rendering,
	} {
		job := marked(state)
		if out := at(noon).parked("mine", "reset")(job); out.err != nil {
			t.Errorf("%s: the task is not acknowledged: %v", state, out.err)
		}
		if job.State != want {
			t.Errorf("%s: got %s, want %s", state, job.State, want)
		}
		if job.State == tasks.Unknown && (job.Error == nil || job.Error.Hint == "" || job.Mark() == nil) {
			t.Errorf("%s: parked without a word or without its mark: %+v", state, job)
		}
	}
	foreign := marked(tasks.Creating)
	at(noon).parked("theirs", "reset")(foreign)
	if foreign.State != tasks.Creating {
		t.Errorf("parked by a token that is not the mark: got %s", foreign.State)
	}
}

// TestNeverFailsWithAnOpenMark: nobody knows whether it was charged, so it can't be called failed.
func TestNeverFailsWithAnOpenMark(t *testing.T) {
	t.Parallel()
	job := marked(tasks.Creating)
	at(noon.Add(48*time.Hour)).afterError(job, tasks.StageCreate, verdict{class: transient}, 40)
	if job.State != tasks.Creating {
		t.Errorf("got %s, want creating", job.State)
	}
}

func TestForgetKeepsWhatMayHaveBeenCharged(t *testing.T) {
	t.Parallel()
	attempts := []tasks.Attempt{{Token: "open"}, {Token: "paid", Outcome: tasks.Charged}}
	for range 100 {
		attempts = append(forget(attempts), tasks.Attempt{Token: "no", Outcome: tasks.NotCharged})
	}
	if len(attempts) > keptAttempts || attempts[0].Token != "open" || attempts[1].Token != "paid" {
		t.Errorf("got %d attempts that begin with %+v", len(attempts), attempts[:2])
	}
}

func TestAttemptsOfACleanupNeverFail(t *testing.T) {
	t.Parallel()
	stored := noon
	for after, want := range map[time.Duration]tasks.State{time.Hour: tasks.Cleaning, 25 * time.Hour: tasks.Done} {
		job := rendering()
		job.State, job.StoredAt = tasks.Cleaning, &stored
		at(noon.Add(after)).afterError(job, tasks.StageCleanup, verdict{class: transient, message: "500"}, 99)
		if job.State != want {
			t.Errorf("after %v: got %s, want %s", after, job.State, want)
		}
		if want == tasks.Done && (job.Remote == nil || *job.Remote != tasks.RemotePending) {
			t.Errorf("after %v: remote is %v, want pending", after, job.Remote)
		}
	}
}
