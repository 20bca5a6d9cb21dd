package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

const (
	// brakeFor is how long the fleet stops when the API does not say; brakeAtMost is what it is believed.
	brakeFor    = 5 * time.Second
	brakeAtMost = 5 * time.Minute
)

func laneOf(stage tasks.Stage) records.Lane {
	switch stage {
	case tasks.StagePoll:
		return records.Polls
	case tasks.StageCreate:
		return records.Creates
	}
	return records.Finishes
}

// budgeted reports whether calls to the API have to be asked for. A fleet without a rate does so only after the
// API has said that there were too many.
func (p *Pipeline) budgeted() bool { return p.set.APIRate > 0 || p.holds.braked() }

// afford lets a stage make so many calls to the API, or sends its task back until its turn: that is no fault of
// the job's, and its record is not told.
func (p *Pipeline) afford(ctx context.Context, stage tasks.Stage, job *tasks.Job, calls int) error {
	if !p.budgeted() {
		return nil
	}
	wait, err := p.records.AskBudget(ctx, p.set.APIRate, laneOf(stage), calls, tasks.TaskID(job.Next()))
	if err != nil || wait == 0 {
		return err
	}
	return &setback{class: throttled, code: codeThrottled, after: wait, turn: true, text: fmt.Sprintf("its turn to call the API comes in %s", wait.Round(time.Second))}
}

// spend counts a call that is made out of turn, since it is rare: creates wait for it, and not what is paid for. What
// can't be counted is made all the same.
func (p *Pipeline) spend(ctx context.Context) {
	if !p.budgeted() {
		return
	}
	if err := p.records.SpendBudget(ctx, p.set.APIRate, records.Creates, 1); err != nil {
		p.log.DebugContext(ctx, "call of the API not counted", "reason", err)
	}
}

// brake slows the fleet when the API says that there are too many calls. The media host has limits of its own, which
// concern the one download.
func (p *Pipeline) brake(ctx context.Context, err error) {
	var answer *magichour.Error
	if !errors.As(err, &answer) || answer.Status != http.StatusTooManyRequests || !strings.HasPrefix(answer.Path, "/v1/") {
		return
	}
	pause := brakeFor
	if answer.RetryAfter > 0 {
		pause = min(answer.RetryAfter, brakeAtMost)
	}
	p.holds.forget()
	isNew, err := p.records.BrakeBudget(ctx, p.set.APIRate, pause)
	switch {
	case err != nil:
		p.log.WarnContext(ctx, "the fleet can't be slowed", "reason", err)
	case isNew:
		p.log.WarnContext(ctx, "too many calls, says the API: the fleet pauses, then begins slowly", "pause", pause.String())
	}
}
