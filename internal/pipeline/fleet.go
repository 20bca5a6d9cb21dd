package pipeline

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A held task comes again after a quarter of the time for which its stage is held already: soon at
// first, and rarely when nobody is there to see to it.
const (
	heldAtLeast = 15 * time.Second
	heldAtMost  = 5 * time.Minute
)

// heldBack is the error of a task whose stage is held.
func (p *Pipeline) heldBack(s *StageHold) error {
	after := min(max(p.now().Sub(s.Since)/4, heldAtLeast), heldAtMost)
	return &failure{verdict{class: held, code: s.Code, message: s.Message, after: after}}
}

// tellFleet holds the stages of the fleet that would meet the same error. The job itself is saved by then:
// asking the account may take its time, and the worker may be killed meanwhile.
func (p *Pipeline) tellFleet(ctx context.Context, stage tasks.Stage, err error) {
	p.brake(ctx, err)
	var answer *magichour.Error
	if v := classify(stage, err); v.class == held && errors.As(err, &answer) {
		switch {
		case answer.Status == http.StatusUnauthorized:
			p.holdFleet(ctx, v, nil, tasks.Stages()...)
		case v.code == codeCredits:
			p.tellOfCredits(ctx, v)
		}
	}
}

// tellOfCredits tells want of credits from what one request alone may not have, and which must not stop the
// fleet. The API's older answers have no code: then it is the account that knows.
func (p *Pipeline) tellOfCredits(ctx context.Context, v verdict) {
	var balance *int
	p.spend(ctx)
	if account, err := p.api.Account(ctx); err == nil {
		credits := int(account.Credits)
		balance = &credits
	}
	if !v.ambiguous || balance != nil && *balance == 0 {
		p.holdFleet(ctx, v, balance, tasks.StageCreate)
	}
}

// holdFleet holds stages, and says so once for the whole fleet.
func (p *Pipeline) holdFleet(ctx context.Context, v verdict, balance *int, stages ...tasks.Stage) {
	var held []string
	for _, stage := range stages {
		isNew, err := p.holds.hold(ctx, StageHold{Stage: stage, Code: v.code, Message: v.message + "; " + v.hint, Credits: balance})
		if err != nil {
			p.log.WarnContext(ctx, "the fleet can't be told", "code", v.code, "reason", err)
			return // this job holds by itself
		}
		if isNew {
			held = append(held, string(stage))
		}
	}
	if len(held) > 0 {
		p.log.ErrorContext(ctx, "fleet held", "stages", strings.Join(held, ","), "code", v.code, "reason", v.message, "hint", v.hint)
	}
}

const (
	probeTurn  = "probe"
	probeEvery = 10 * time.Second
	// tryAnyway is for how long the fleet is held by an account that does not answer, or by a balance that is
	// not zero and does not grow: it may be enough for other jobs, or may have grown just before it was asked
	// for. A create that is refused costs nothing.
	tryAnyway = 15 * time.Minute
)

// probe asks the account, which costs nothing, whether what holds the fleet is mended. One worker
// at a time does.
func (p *Pipeline) probe(ctx context.Context) error {
	all, err := p.holds.All(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s StageHold) bool { return s.Code == byHand })
	if len(all) == 0 {
		return nil
	}
	if mine, err := p.records.Turn(ctx, probeTurn, probeEvery); !mine || err != nil {
		return err
	}
	p.spend(ctx)
	account, err := p.api.Account(ctx)
	if err != nil {
		// Another worker may have a better key, or a better way to the API.
		if err := p.records.GiveTurn(ctx, probeTurn); err != nil {
			return err
		}
	}
	var answer *magichour.Error
	rejected := errors.As(err, &answer) && answer.Status == http.StatusUnauthorized
	var released []string
	for _, s := range all {
		if rejected || err != nil && p.now().Sub(s.Since) < tryAnyway || err == nil && !p.mended(s, int(account.Credits)) {
			continue
		}
		gone, err := p.holds.release(ctx, s)
		if err != nil {
			return err
		}
		if gone {
			released = append(released, string(s.Stage))
		}
	}
	if len(released) > 0 {
		p.log.InfoContext(ctx, "fleet goes on", "stages", strings.Join(released, ","), "code", all[0].Code)
	}
	return nil
}

// mended reports whether an account that answers, with this balance, has what the hold is about.
func (p *Pipeline) mended(s StageHold, credits int) bool {
	if s.Code != codeCredits {
		return true
	}
	return credits > 0 && (s.Credits == nil || credits > *s.Credits || p.now().Sub(s.Since) > tryAnyway)
}
