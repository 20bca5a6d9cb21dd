package pipeline

import (
	"fmt"

	"github.com/seed-290c2414/hourglass/tasks"
)

// never says what is broken between two looks at the same record, whatever has happened in between;
// "" if nothing is. Nobody has asked for the job to be retried or canceled.
func never(before, after *tasks.Job) string {
	switch {
	case after.Epoch < before.Epoch:
		return "the epoch has fallen"
	case after.Polls < before.Polls && after.ProjectID == before.ProjectID && before.ProjectID != "":
		return "the polls have fallen"
	case before.ProjectID != "" && after.ProjectID != before.ProjectID:
		return "the project has changed"
	case before.State.Ended() && !undeleted(before) && after.State != before.State:
		return "a job that had ended came back"
	case (after.State == tasks.Cleaning || after.State == tasks.Done) && len(after.Outputs) == 0:
		return "cleaning or done without outputs"
	case after.State == tasks.Cleaning && after.StoredAt == nil:
		return "cleaning, and not stored"
	case after.State == tasks.Unknown && (after.Error == nil || after.Error.Message == "" || after.Error.Hint == "" || after.Mark() == nil):
		return "parked without a reason, a hint or its mark"
	case after.State == tasks.Failed && (after.Error == nil || after.Error.Hint == ""):
		return "failed without a reason or a hint"
	}
	return lostToken(before, after)
}

// lostToken finds an attempt that was forgotten, though it may have bought something.
func lostToken(before, after *tasks.Job) string {
	kept := map[string]tasks.Outcome{}
	for _, a := range after.Attempts {
		kept[a.Token] = a.Outcome
	}
	for _, a := range before.Attempts {
		outcome, found := kept[a.Token]
		switch {
		case !found && (a.Outcome != tasks.NotCharged || len(before.Attempts) < keptAttempts):
			return fmt.Sprintf("the token %s, %q, was forgotten", a.Token, a.Outcome)
		case found && a.Outcome == tasks.Charged && outcome != tasks.Charged:
			return fmt.Sprintf("the token %s was charged, and now it is %q", a.Token, outcome)
		case found && a.Outcome != "" && outcome == "":
			return fmt.Sprintf("the token %s is a mark again", a.Token)
		}
	}
	return ""
}
