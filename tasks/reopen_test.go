package tasks

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2025, 11, 25, 12, 0, 0, 0, time.UTC)

// standing is a job in a state, as it comes there.
func standing(t *testing.T, state State) *Job {
	t.Helper()
	job, err := NewJob(textToVideo("j1"), noon)
	if err != nil {
		t.Fatal(err)
	}
	job.State = state
	switch state {
	case Creating:
		job.Attempts = []Attempt{{Token: "tok", At: noon}}
	case Unknown:
		job.Attempts = []Attempt{{Token: "tok", At: noon}}
		job.Park(UnknownOutcome, "its answer was lost")
	case Rendering, Storing, Cleaning, Done:
		job.Attempts = []Attempt{{Token: "tok", At: noon, Outcome: Charged}}
		job.ProjectID, job.ProjectAt, job.Polls = "p1", &noon, 3
	}
	return job
}

// failedIn is a job that failed in a stage.
func failedIn(t *testing.T, stage Stage, change ...func(*Job)) *Job {
	t.Helper()
	before := map[Stage]State{StageCreate: Pending, StagePoll: Rendering, StageDownload: Storing}
	job := standing(t, before[stage])
	job.State, job.DoneAt = Failed, &noon
	job.Error = &Error{Stage: string(stage), Code: "trouble", Message: "it broke", Hint: "mend it"}
	for _, c := range change {
		c(job)
	}
	return job
}

func TestCancel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		state   State
		want    State
		warns   string // what the job's warning holds; empty for none
		marked  bool   // whether its purchase still may turn out to have been charged
		refused bool
	}{
		{Pending, Canceled, "", false, false},
		{Creating, Canceled, "[j1~tok]", true, false},
		{Unknown, Canceled, "[j1~tok]", true, false},
		{Rendering, Canceled, "project p1 goes on", false, false},
		{Storing, Canceled, "project p1 goes on", false, false},
		{Cleaning, Cleaning, "", false, true},
		{Done, Done, "", false, true},
		{Failed, Failed, "", false, true},
		{Canceled, Canceled, "", false, false},
	}
	for _, tt := range tests {
		t.Run(string(tt.state), func(t *testing.T) {
			t.Parallel()
			job := standing(t, tt.state)
			attempts := slices.Clone(job.Attempts)
			err := job.Cancel()
			if job.State != tt.want || errors.Is(err, ErrState) != tt.refused {
				t.Errorf("got %s, %v", job.State, err)
			}
			if (job.Mark() != nil) != tt.marked || !slices.Equal(job.Attempts, attempts) {
				t.Errorf("attempts: got %+v, want them as they were", job.Attempts)
			}
			if got := strings.Join(job.Warnings, "\n"); (tt.warns == "") != (got == "") || !strings.Contains(got, tt.warns) {
				t.Errorf("warnings: got %q, want %q in them", got, tt.warns)
			}
			if job.Error != nil && tt.want == Canceled {
				t.Errorf("error: got %+v", job.Error)
			}
		})
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	renderError := func(j *Job) { j.RemoteStatus = "error" }
	marked := func(j *Job) { j.Attempts = []Attempt{{Token: "tok", At: noon}} }
	tests := []struct {
		name     string
		job      *Job
		recreate bool
		want     State // empty: refused
		project  string
		earlier  []string
	}{
		{"before the purchase", failedIn(t, StageCreate), false, Pending, "", nil},
		{"nobody knows whether it was charged", failedIn(t, StageCreate, marked), false, Unknown, "", nil},
		{"nobody knows, and a person takes the risk", failedIn(t, StageCreate, marked), true, Pending, "", nil},
		{"while rendering", failedIn(t, StagePoll), false, Rendering, "p1", nil},
		{"the render failed", failedIn(t, StagePoll, renderError), false, "", "", nil},
		{"the render failed, and is bought anew", failedIn(t, StagePoll, renderError), true, Pending, "", []string{"p1"}},
		{"while copying", failedIn(t, StageDownload), false, Storing, "p1", nil},
		{"not failed", standing(t, Rendering), false, "", "", nil},
		{"not failed, and recreated", standing(t, Done), true, "", "", nil},
		{"parked", standing(t, Unknown), true, "", "", nil},
		{"canceled", standing(t, Canceled), false, "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := tt.job.Clone()
			err := tt.job.Retry(tt.recreate, noon.Add(time.Hour))
			if tt.want == "" {
				if !errors.Is(err, ErrState) || tt.job.State != before.State || tt.job.Epoch != before.Epoch {
					t.Errorf("got %v, %s; want it refused", err, tt.job.State)
				}
				return
			}
			if err != nil || tt.job.State != tt.want || tt.job.ProjectID != tt.project || !slices.Equal(tt.job.Earlier, tt.earlier) {
				t.Fatalf("got %s with project %q (earlier %v), %v", tt.job.State, tt.job.ProjectID, tt.job.Earlier, err)
			}
			if tt.job.Epoch != before.Epoch+1 || tt.job.DoneAt != nil || (tt.job.Error != nil) != (tt.want == Unknown) {
				t.Errorf("epoch %d, done at %v, error %+v", tt.job.Epoch, tt.job.DoneAt, tt.job.Error)
			}
			if len(tt.job.Attempts) != len(before.Attempts) {
				t.Errorf("attempts: got %+v, want none forgotten", tt.job.Attempts)
			}
			if (tt.job.Mark() != nil) != (tt.want == Unknown) {
				t.Errorf("mark: got %+v in state %s", tt.job.Mark(), tt.want)
			}
			if tt.job.FreeSince == nil || !tt.job.FreeSince.Equal(noon.Add(time.Hour)) {
				t.Errorf("reopened at %v", tt.job.FreeSince)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	t.Run("the project was made", func(t *testing.T) {
		t.Parallel()
		job := standing(t, Unknown)
		if err := job.Resolve(Resolution{Project: "p9"}, noon); err != nil || job.State != Rendering || job.ProjectID != "p9" || job.Mark() != nil || job.Epoch != 2 || job.Error != nil {
			t.Errorf("got %+v, %v", job, err)
		}
	})
	t.Run("bought again, and the first one turns up", func(t *testing.T) {
		t.Parallel()
		job := standing(t, Unknown)
		if err := job.Resolve(Resolution{Recreate: true}, noon); err != nil || job.State != Pending || job.Attempts[0].Outcome != Abandoned {
			t.Fatalf("got %+v, %v", job, err)
		}
		job.Attach("tok", "p1", 5, noon)
		if job.State != Rendering || job.ProjectID != "p1" || job.Attempts[0].Outcome != Charged {
			t.Errorf("got %s with %q, want the purchase saved", job.State, job.ProjectID)
		}
		job.Attach("tok2", "p2", 5, noon)
		if !slices.Equal(job.Orphans, []string{"p2"}) || job.ProjectID != "p1" {
			t.Errorf("got project %s, orphans %v", job.ProjectID, job.Orphans)
		}
	})
	t.Run("given up, and parked again by retry", func(t *testing.T) {
		t.Parallel()
		job := standing(t, Unknown)
		parked := job.Error
		hint := parked.Hint
		if err := job.Resolve(Resolution{Fail: true}, noon); err != nil || job.State != Failed || job.Mark() == nil || job.Error.Code != UnknownOutcome {
			t.Fatalf("got %+v, %v", job, err)
		}
		if parked.Hint != hint {
			t.Error("the error of the record before was changed in place")
		}
		if err := job.Retry(false, noon); err != nil || job.State != Unknown || job.Mark() == nil {
			t.Errorf("got %s, %v; want it parked, and never bought", job.State, err)
		}
	})
	for _, state := range States() {
		if job := standing(t, state); state != Unknown && !errors.Is(job.Resolve(Resolution{Recreate: true}, noon), ErrState) {
			t.Errorf("%s: resolved", state)
		}
	}
}
