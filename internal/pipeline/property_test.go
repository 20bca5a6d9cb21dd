package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"pgregory.net/rapid"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// TestAnyDecision applies the decisions of handlers to one record, in any order: each was made for the
// record as its handler once saw it, however long ago that was, and comes once or many times.
func TestAnyDecision(t *testing.T) {
	t.Parallel()
	for range 20 { // a decision takes no time
		rapid.Check(t, anyDecisions)
	}
}

func anyDecisions(t *rapid.T) {
	now := noon
	d := &desk{p: at(noon)}
	d.p.now = func() time.Time { return now }
	job, err := tasks.NewJob(images(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "was refused often") {
		for i := range keptAttempts - 1 {
			job.Attempts = append(job.Attempts, tasks.Attempt{Token: fmt.Sprintf("early-%d", i), Outcome: tasks.NotCharged})
		}
		job.Attempts[0].Outcome = tasks.Charged
	}
	d.file(job)
	t.Repeat(map[string]func(*rapid.T){
		"mark":     d.mark,
		"purchase": d.purchase,
		"stage":    d.stage,
		"and on":   d.stage, // the likeliest thing to happen
		"and end":  d.stage,
		"error":    d.trouble,
		"sweeper":  d.sweeper,
		"again":    d.again,
		"time": func(t *rapid.T) {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Hour, 25 * time.Hour}).Draw(t, "passes"))
		},
	})
}

// A desk is where the decisions about one record arrive.
type desk struct {
	p      *Pipeline
	seen   []*tasks.Job // the record at every revision
	made   []made       // decisions that were applied
	tokens []string
}

// made is a decision with the purchase that it is about, if it is about one.
type made struct {
	what, token string
	decide      decision
}

func (d *desk) file(job *tasks.Job) { d.seen = append(d.seen, job) }
func (d *desk) job() *tasks.Job     { return d.seen[len(d.seen)-1] }

// some is the record as a handler saw it, now or long ago.
func (d *desk) some(t *rapid.T) *tasks.Job {
	return d.seen[max(0, len(d.seen)-1-rapid.IntRange(0, 6).Draw(t, "revisions ago"))]
}

// apply does what update does, and holds what must never happen.
func (d *desk) apply(t *rapid.T, m made) {
	before, after := d.job(), d.job().Clone()
	out := m.decide(after)
	changed, err := differ(before, after)
	if err != nil {
		t.Fatal(err)
	}
	d.made = append(d.made, m)
	if !changed {
		return
	}
	d.p.stamp(after, before.State != after.State)
	d.file(after)
	if broken := never(before, after); broken != "" {
		t.Fatalf("%s, by %s:\nfrom %+v\nto   %+v", broken, m.what, before, after)
	}
	if mark := before.Mark(); mark != nil && (after.Mark() == nil || after.Mark().Token != mark.Token) && m.token != mark.Token {
		t.Fatalf("%s ended the mark %s, which is not its own", m.what, mark.Token)
	}
	if after.State == tasks.Unknown && before.State != tasks.Unknown && m.what != "sweeper" && (before.Mark() == nil || before.Mark().Token != m.token) {
		t.Fatalf("%s parks a job by the token %s, which is not its mark %+v", m.what, m.token, before.Mark())
	}
	if out.in < 0 {
		t.Fatalf("%s wants the next task %v ago", m.what, -out.in)
	}
	if after.State == tasks.Failed && before.State != tasks.Failed && !errors.Is(out.err, asynq.SkipRetry) && m.what != "sweeper" {
		t.Fatalf("%s fails the job and does not archive its task", m.what)
	}
}

// mark begins a purchase, at the record's own revision.
func (d *desk) mark(t *rapid.T) {
	job := d.job()
	if stageOf(job.State) != tasks.StageCreate || job.Mark() != nil {
		t.Skip("no purchase begins here")
	}
	token := fmt.Sprintf("token-%d", len(d.tokens))
	d.tokens = append(d.tokens, token)
	d.apply(t, made{"mark", token, func(job *tasks.Job) outcome {
		job.State = tasks.Creating
		job.Attempts = append(forget(job.Attempts), tasks.Attempt{Token: token, At: d.p.now()})
		return outcome{}
	}})
}

// purchase is what the holder of a mark has learnt, or another handler that has found it.
func (d *desk) purchase(t *rapid.T) {
	if len(d.tokens) == 0 {
		t.Skip("nothing was bought")
	}
	token := rapid.SampledFrom(d.tokens).Draw(t, "token")
	m := made{what: rapid.SampledFrom([]string{"bought", "returned", "parked"}).Draw(t, "outcome"), token: token}
	if slices.ContainsFunc(d.made, func(o made) bool {
		return o.token == token && o.what != m.what && o.what != "mark" && o.what != "parked" && m.what != "parked"
	}) {
		t.Skip("one purchase has one outcome")
	}
	switch m.what {
	case "bought":
		m.decide = func(job *tasks.Job) outcome {
			bought(job, token, magichour.Created{ID: "project-of-" + token, CreditsCharged: 5}, noon)
			return d.p.planned(job)
		}
	case "returned":
		m.decide = d.p.returned(token, anyVerdict(t), rapid.IntRange(0, 12).Draw(t, "retried"))
	case "parked":
		m.decide = d.p.parked(token, "nobody knows")
	}
	d.apply(t, m)
}

// stage is what a stage after the purchase decides, for the place of the road that it saw.
func (d *desk) stage(t *rapid.T) {
	seen := d.some(t)
	m := made{what: string(stageOf(seen.State))}
	switch stageOf(seen.State) {
	case tasks.StagePoll:
		project := magichour.Project{
			Status:    rapid.SampledFrom([]string{"queued", "complete", "complete", "complete", "complete", "error", "canceled"}).Draw(t, "status"),
			Downloads: downloads([]string{"/a", "/b", "/c", "/d"}[:rapid.SampledFrom([]int{0, 3, 4, 4, 4, 4}).Draw(t, "files")]...),
		}
		m.decide = func(job *tasks.Job) outcome { return d.p.afterPoll(job, project) }
		if rapid.IntRange(0, 5).Draw(t, "missing") == 5 {
			m.decide = d.p.pollMissing
		}
	case tasks.StageDownload:
		told := *seen
		told.CreditsCharged = 5
		copied := newManifest(&told, []manifestFile{{Output: tasks.Output{N: 1, Key: "images/1.png", Size: 3, Checksum: "crc64nvme:x"}, Source: "/a"}})
		m.decide = func(job *tasks.Job) outcome { return d.p.stored(job, copied) }
		if rapid.IntRange(0, 5).Draw(t, "missing") == 5 {
			m.decide = lookAgain
		}
	case tasks.StageCleanup:
		m.decide = rapid.SampledFrom([]decision{
			unproved(errUnproved), lookAgain, deletedBy(nil), deletedBy(&magichour.Error{Status: 404}), deletedBy(&magichour.Error{Status: 422}),
		}).Draw(t, "cleanup")
	default:
		t.Skip("it is not the turn of a stage after the purchase")
	}
	m.decide = d.p.within(seen, m.decide)
	d.apply(t, m)
}

func deletedBy(err error) decision {
	decide, _ := deleted(err)
	return decide
}

// trouble is what an error means to a job whose stage met it.
func (d *desk) trouble(t *rapid.T) {
	seen := d.some(t)
	stage := stageOf(seen.State)
	if stage == "" || seen.Mark() != nil {
		t.Skip("no stage runs")
	}
	v, retried := anyVerdict(t), rapid.IntRange(0, 30).Draw(t, "retried")
	d.apply(t, made{what: "error", decide: d.p.within(seen, func(job *tasks.Job) outcome { return d.p.afterError(job, stage, v, retried) })})
}

// sweeper is what the sweeper decides for a job that it found overdue.
func (d *desk) sweeper(t *rapid.T) {
	seen := d.some(t)
	m := made{what: "sweeper"}
	switch {
	case undeleted(seen):
		m.decide = deleteAgain
	case seen.State.Settled():
		t.Skip("nothing to sweep")
	case rapid.Bool().Draw(t, "archived"):
		m.decide = d.p.afterArchived(seen, &asynq.TaskInfo{LastErr: "killed"})
	default:
		m.decide = nextEpoch
	}
	m.decide = d.p.within(seen, m.decide)
	d.apply(t, m)
}

// again applies a decision that was applied before.
func (d *desk) again(t *rapid.T) {
	if len(d.made) == 0 {
		t.Skip("nothing was decided")
	}
	m := d.made[rapid.IntRange(0, len(d.made)-1).Draw(t, "decision")]
	if m.what == "mark" {
		t.Skip("a mark is set once: its revision has passed")
	}
	d.apply(t, m)
}

func anyVerdict(t *rapid.T) verdict {
	return rapid.SampledFrom([]verdict{
		{class: transient, code: codeTrouble, message: "503", hint: hintTrouble},
		{class: again, code: codeTrouble, message: "stopped", hint: hintTrouble},
		{class: throttled, code: codeThrottled, message: "429", hint: hintTrouble, after: time.Second},
		{class: held, code: codeCredits, message: "402", hint: hintCredits, after: time.Minute},
		{class: permanent, code: codeRefused, message: "422", hint: hintTrouble},
	}).Draw(t, "verdict")
}
