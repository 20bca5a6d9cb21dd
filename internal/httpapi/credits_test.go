package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// TestEveryPurchaseCounts: each that a caller makes for a job is reserved for by itself, and none is forgotten.
func TestEveryPurchaseCounts(t *testing.T) {
	t.Parallel()
	s := newService(t)
	bought := func(n int) {
		s.change("a", func(j *tasks.Job) {
			j.State, j.ProjectID, j.CreditsCharged = tasks.Failed, fmt.Sprint("p", n), 40
			j.Error = &tasks.Error{Stage: "download", Code: "gave_up", Message: "x", Hint: "y"}
		})
		s.day = s.day.Add(settleEvery)
	}
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	bought(1)
	s.want(200, "POST", "/v1/jobs/a/retry", "poor", `{"recreate":true}`)
	bought(2)
	s.want(429, "POST", "/v1/jobs/a/retry", "poor", `{"recreate":true}`)
	s.want(200, "POST", "/v1/jobs/a/retry", "poor", ``) // with the project it has paid for
}

// TestSettledBetween: a budget that is settled between a reservation and its retry does not forget it.
func TestSettledBetween(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	s.change("a", failedBeforeItsCreate)
	c, _ := s.api.Caller("poor")
	b := s.api.budget(c)
	job, err := s.client.Job(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again := job.Clone()
	if err := errors.Join(again.Retry(false, time.Now()), s.api.reserve(t.Context(), http.Header{}, c, purchaseOf(again)), s.api.settle(t.Context(), c, b)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Retry(t.Context(), "a", false); err != nil {
		t.Fatal(err)
	}
	s.change("a", func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Rendering, "p", 90 })
	if err := s.api.settle(t.Context(), c, b); err != nil {
		t.Fatal(err)
	}
	if n, err := s.spent(); n != 90 || err != nil {
		t.Errorf("spent %d, %v; want 90", n, err)
	}
}

// TestSameIDAtOnce: of two requests that want the same id at once, one is refused, and the other stays reserved for.
func TestSameIDAtOnce(t *testing.T) {
	t.Parallel()
	s := newServiceOn(t, testservers.Redis(t))
	accepted := 0
	for i := range 40 {
		var codes [2]int
		var both sync.WaitGroup
		for k := range 2 {
			both.Go(func() {
				codes[k] = s.ask("POST", "/v1/jobs", "poor", video(fmt.Sprint("r", i), fmt.Sprintf(`,"options":{"metadata":{"k":"%d"}}`, k))).Code
			})
		}
		both.Wait()
		if codes[0] == 202 || codes[1] == 202 {
			accepted++
		}
	}
	if accepted != 2 {
		t.Errorf("%d jobs of 50 credits accepted, of 100", accepted)
	}
}

// TestDearJobs: the price of a job goes by how much it asks for, and by the most that was seen.
func TestDearJobs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	cost := func(id string, credits int) {
		s.change(id, func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Done, "p"+id, credits })
		s.day = s.day.Add(settleEvery)
	}
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	cost("a", 10)
	s.want(202, "POST", "/v1/jobs", "poor", video("b", ""))
	cost("b", 5)
	long := `{"id":"c","operation":"text-to-video","body":{"end_seconds":60,"style":{"prompt":"x"}}}`
	if p := problemOf(t, s.want(429, "POST", "/v1/jobs", "poor", long)); !strings.Contains(p.Detail, "120 credits, and 85") {
		t.Errorf("got %s", p.Detail)
	}
}

// TestCanceledAndCharged: what was charged while it was canceled counts.
func TestCanceledAndCharged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	s.change("a", func(j *tasks.Job) {
		j.State, j.Orphans = tasks.Canceled, []string{"p"}
		j.Attempts = []tasks.Attempt{{Token: "x", Outcome: tasks.Charged}}
	})
	s.day = s.day.Add(settleEvery)
	s.want(202, "POST", "/v1/jobs", "poor", video("b", ""))
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

// TestNotAccepted: what failed before it was accepted is given back, and what may have been accepted is not.
func TestNotAccepted(t *testing.T) {
	t.Parallel()
	s := newService(t)
	spent := func() int {
		n, err := s.spent()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	caller, _ := s.api.Caller("poor")
	job := &tasks.Job{Status: tasks.Status{ID: "a", Operation: "text-to-video"}, Epoch: 1}
	if err := s.api.reserve(t.Context(), http.Header{}, caller, purchaseOf(job)); err != nil || spent() != 50 {
		t.Fatalf("reserved %d, %v", spent(), err)
	}
	if err := s.api.giveBack(t.Context(), caller, job); err != nil || spent() != 0 {
		t.Errorf("not accepted: got %d, %v", spent(), err)
	}
	if _, err := s.client.Submit(t.Context(), tasks.Request{ID: "a", Operation: "text-to-video", Body: []byte(`{"end_seconds":5,"style":{"prompt":"x"}}`), Options: tasks.Options{Tenant: "acme"}}); err != nil {
		t.Fatal(err) // as a Redis would that wakes up
	}
	s.change("a", func(j *tasks.Job) { j.State, j.ProjectID, j.CreditsCharged = tasks.Rendering, "p", 30 })
	if err := s.api.settle(t.Context(), caller, s.api.budget(caller)); err != nil || spent() != 30 {
		t.Errorf("accepted late: got %d, %v", spent(), err)
	}
	if err := s.api.giveBack(t.Context(), caller, job); err != nil || spent() != 30 {
		t.Errorf("accepted: got %d, %v", spent(), err)
	}
}

// TestLateLook: what somebody saw of a job before it had ended does not change what it has cost.
func TestLateLook(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.want(202, "POST", "/v1/jobs", "poor", video("a", ""))
	b := s.api.budget(Caller{Name: "poor"})
	for _, step := range []struct {
		credits int
		final   bool
	}{{20, false}, {45, true}, {20, false}} {
		if err := s.api.Records.Settle(t.Context(), b, "a", step.credits, step.final); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.spent(); err != nil || n != 45 {
		t.Errorf("got %d, %v", n, err)
	}
}

// TestWhoHangsUp: a caller that is gone in the middle has handed in its job.
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

// spent is what is reserved for and spent by the poor.
func (s *service) spent() (int, error) {
	return s.rdb.HGet(s.t.Context(), "hourglass:{fleet}:credits:poor:"+s.day.UTC().Format(time.DateOnly), ":total").Int()
}
