package pipeline

import (
	"context"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// An Observer is told what a pipeline does, for metrics. It is told by handlers, many at the same time, so it
// must not wait; what it makes of it decides nothing.
type Observer interface {
	// Saved tells of a record that was changed. The states of both say what the job has come through.
	Saved(from, to *tasks.Job)

	// Noticed tells of a render that a poll has found complete, and how long it can have been so at most: since
	// the poll before, or since its webhook.
	Noticed(job *tasks.Job, within time.Duration)

	// Found tells of a job that nothing moved any more, by what had become of its task.
	Found(Lost)

	// Notified tells of a try to tell a caller of its job: Sent, Retried or GivenUp.
	Notified(way tasks.Way, how Telling)
}

// Telling is how a try to tell a caller has ended.
type Telling string

// The ends of a try.
const (
	Sent    Telling = "sent"
	Retried Telling = "retried" // it is tried again
	GivenUp Telling = "given_up"
)

// Lost is what had become of the task of a job that the sweeper has put back on the road.
type Lost string

// What becomes of tasks, when Redis fails over or workers die.
const (
	LostGone     Lost = "gone"     // there is none
	LostOrphaned Lost = "orphaned" // taken by a worker that does not hold it any more
	LostFinished Lost = "finished" // completed, though the job stands where it would be moved on
	LostArchived Lost = "archived" // given up by the queue without asking anybody
)

// Losts returns all of them.
func Losts() []Lost { return []Lost{LostGone, LostOrphaned, LostFinished, LostArchived} }

// ObserveBy has o told what this pipeline does. It is called before Serve.
func (p *Pipeline) ObserveBy(o Observer) { p.observer = o }

// nobody is the observer where none is asked for.
type nobody struct{}

func (nobody) Saved(_, _ *tasks.Job)                 {}
func (nobody) Noticed(_ *tasks.Job, _ time.Duration) {}
func (nobody) Found(Lost)                            {}
func (nobody) Notified(tasks.Way, Telling)           {}

// undeletedJobs is the set, beside those of the states, of jobs that are done but for their remote project. Such
// a job enters it anew with every delete that fails.
const undeletedJobs = "undeleted"

// undeletedFor is how long a job stays in that set that has left it unseen.
const undeletedFor = 3 * deleteAgainAfter

// Undeleted counts the jobs whose remote project is still to be deleted, see Remote.
func (p *Pipeline) Undeleted(ctx context.Context) (int64, error) {
	return p.records.Count(ctx, undeletedJobs)
}

// Braked reports whether the fleet goes slowly because the API has said that there were too many calls.
func (p *Pipeline) Braked(ctx context.Context) (bool, error) {
	_, slow, err := p.holds.read(ctx)
	return slow, err
}

// HoldCodes returns the codes of what may hold a stage of the fleet.
func HoldCodes() []string { return []string{byHand, codeUnauthorized, codeCredits} }
