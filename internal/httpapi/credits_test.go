package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestBudget: a token spends no more a day than it may, by what jobs have cost as soon as that is known.
func TestBudget(t *testing.T) {
	t.Parallel()
	s := newService(t)
	tick := func() { s.day = s.day.Add(settleEvery) }
	s.day = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if left := s.want(202, "POST", "/v1/jobs", "poor", video("a", "")).Header().Get("Credits-Left"); left != "50" {
		t.Errorf("left of 100 after a guess of 50: %s", left)
	}
	s.want(200, "POST", "/v1/jobs", "poor", video("a", "")) // the same: no second reservation
	s.want(202, "POST", "/v1/jobs", "poor", video("b", ""))
	w := s.want(429, "POST", "/v1/jobs", "poor", video("c", ""))
	if after, _ := strconv.Atoi(w.Header().Get("Retry-After")); after != 12*3600+1 || problemOf(t, w).Code != "budget" {
		t.Errorf("got %v %s", w.Header(), w.Body)
	}
	s.want(404, "GET", "/v1/jobs/c", "poor", "")
	s.change("a", func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Rendering, "p", 20 })
	tick()
	if left := s.want(202, "POST", "/v1/jobs", "poor", video("c", "")).Header().Get("Credits-Left"); left != "10" {
		t.Errorf("left of 100 after 20, 50 and what 20 has taught: %s", left)
	}
	s.change("a", func(j *tasks.Job) { j.CreditsCharged = 35 }) // video is corrected at its end
	tick()
	s.want(429, "POST", "/v1/jobs", "poor", video("d", ""))
	s.change("b", failedBeforeItsCreate)
	tick()
	s.want(200, "POST", "/v1/jobs/b/retry", "poor", "") // bought after all
	s.want(429, "POST", "/v1/jobs", "poor", video("d", ""))
	s.want(202, "POST", "/v1/jobs", "acme", video("e", "")) // who has no budget
	s.change("b", failedBeforeItsCreate)
	s.change("c", func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Rendering, "q", 60 })
	tick()
	s.want(429, "POST", "/v1/jobs/b/retry", "poor", "")
	s.day = s.day.Add(24 * time.Hour)
	s.want(202, "POST", "/v1/jobs", "poor", video("f", ""))
}

// TestUnknownKeepsItsReservation: what may have been charged counts.
func TestUnknownKeepsItsReservation(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	s.want(202, "POST", "/v1/jobs", "poor", video("b", ""))
	s.change("a", func(j *tasks.Job) {
		failedBeforeItsCreate(j)
		j.Attempts = []tasks.Attempt{{Token: "x", At: time.Now()}}
	})
	s.day = s.day.Add(settleEvery)
	s.want(429, "POST", "/v1/jobs", "poor", video("c", ""))
}

// TestRefusedCostsNothing: what was not accepted gives back what was reserved.
func TestRefusedCostsNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "rival", video("taken", ""))
	for range 5 {
		s.want(409, "POST", "/v1/jobs", "poor", video("taken", ""))
		s.want(422, "POST", "/v1/jobs", "poor", `{"operation":"text-to-video","body":{}}`)
	}
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	s.want(202, "POST", "/v1/jobs", "poor", video("b", ""))
}

// TestBudgetOfTwoServers: many at once, at two servers over a real Redis, get no more than there is.
func TestBudgetOfTwoServers(t *testing.T) {
	t.Parallel()
	redis := testservers.Redis(t)
	one, two := newServiceOn(t, redis), newServiceOn(t, redis)
	var accepted atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if w := []*service{one, two}[i%2].ask("POST", "/v1/jobs", "poor", video(fmt.Sprint("j", i), "")); w.Code == 202 {
				accepted.Add(1)
			} else if w.Code != 429 {
				t.Errorf("got %d: %s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if accepted.Load() != 2 {
		t.Errorf("%d jobs were accepted, at 50 credits each of 100", accepted.Load())
	}
}

func (s *service) spent(name string) int {
	s.t.Helper()
	n, err := s.api.Records.Spent(s.t.Context(), records.Budget{Name: name, Day: s.day.UTC().Format(time.DateOnly)})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestTwoRequestsOneID: two different requests that come at once under one id share a reservation, which stays for the
// one that was accepted; but not where another tenant's was.
func TestTwoRequestsOneID(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for who, want := range map[string]int{"poor": 50, "rival": 0} {
		id := "of-" + who
		caller, _ := s.api.Caller("poor")
		job := &tasks.Job{Status: tasks.Status{ID: id, Operation: "text-to-video"}, Epoch: 1}
		if err := s.api.reserve(t.Context(), httptest.NewRecorder(), caller, job); err != nil {
			t.Fatal(err)
		}
		before := s.spent("poor")
		stands, err := tasks.DecodeJob(s.record(viewOf(t, s.want(202, "POST", "/v1/jobs", who, video(id, ""))).ID))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.api.giveBack(t.Context(), caller, job, stands, tasks.ErrExists); err != nil || s.spent("poor") != before-50+want {
			t.Errorf("of %s: got %d of %d, %v", who, s.spent("poor"), before, err)
		}
	}
}

// TestNotAccepted: what failed before it was accepted is given back, and what may have been accepted is not.
func TestNotAccepted(t *testing.T) {
	t.Parallel()
	s := newService(t)
	caller, _ := s.api.Caller("poor")
	job := &tasks.Job{Status: tasks.Status{ID: "a", Operation: "text-to-video"}, Epoch: 1}
	if err := s.api.reserve(t.Context(), httptest.NewRecorder(), caller, job); err != nil {
		t.Fatal(err)
	}
	if err := s.api.giveBack(t.Context(), caller, job, job, tasks.ErrUnavailable); err != nil || s.spent("poor") != 0 {
		t.Errorf("not accepted: got %d, %v", s.spent("poor"), err)
	}
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	if err := s.api.giveBack(t.Context(), caller, job, job, tasks.ErrUnavailable); err != nil || s.spent("poor") != 50 {
		t.Errorf("accepted: got %d, %v", s.spent("poor"), err)
	}
}

// TestBoughtAgain: a job that is bought again costs both.
func TestBoughtAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	s.change("a", func(j *tasks.Job) {
		j.State, j.ProjectID, j.CreditsCharged = tasks.Failed, "p", 45
		j.Error = &tasks.Error{Stage: "download", Code: "store_full", Message: "x", Hint: "y"}
	})
	s.want(200, "POST", "/v1/jobs/a/retry", "poor", "") // goes on with what is paid for
	if got := s.spent("poor"); got != 50 {
		t.Errorf("after a retry: got %d", got)
	}
	s.change("a", func(j *tasks.Job) {
		j.State, j.Error = tasks.Failed, &tasks.Error{Stage: "download", Code: "store_full", Message: "x", Hint: "y"}
	})
	left := s.want(200, "POST", "/v1/jobs/a/retry", "poor", `{"recreate":true}`).Header().Get("Credits-Left")
	if got := s.spent("poor"); got != 90 || left != "10" {
		t.Errorf("bought again for 45: got %d, left %s", got, left)
	}
	s.change("a", func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Done, "q", 40 })
	s.day = s.day.Add(settleEvery)
	s.want(429, "POST", "/v1/jobs", "poor", video("b", ""))
	if got := s.spent("poor"); got != 85 {
		t.Errorf("settled: got %d", got)
	}
}

// TestDearerThanTheBudget: one job that cost more than there is a day does not keep out all of the days to come.
func TestDearerThanTheBudget(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	s.change("a", func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Done, "p", 400 })
	s.day = s.day.Add(settleEvery)
	s.want(429, "POST", "/v1/jobs", "poor", video("b", ""))
	s.day = s.day.Add(24 * time.Hour)
	s.want(202, "POST", "/v1/jobs", "poor", video("b", ""))
	s.want(429, "POST", "/v1/jobs", "poor", video("c", ""))
}

// TestWhoHangsUp: a caller that is gone in the middle has handed in its job, or has not, and its budget says the same.
func TestWhoHangsUp(t *testing.T) {
	t.Parallel()
	s := newService(t)
	gone := func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	}
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""), gone)
	s.want(200, "GET", "/v1/jobs/a", "poor", "")
}
