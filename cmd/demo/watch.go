package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// lookEvery is how often the watcher looks. It learns of a job what every client can learn: its
// record, as it stands.
const lookEvery = 50 * time.Millisecond

// A watcher prints a line for every step of every job, and for every poll.
type watcher struct {
	client *tasks.Client
	out    io.Writer
	began  time.Time
	seen   map[string]*tasks.Job
}

func newWatcher(client *tasks.Client, out io.Writer) *watcher {
	_, _ = fmt.Fprintf(out, lineFormat, "TIME", "JOB", "STATE", "WHAT HAPPENED")
	return &watcher{client: client, out: out, began: time.Now(), seen: map[string]*tasks.Job{}}
}

const lineFormat = "%7s  %-24s  %-9s  %s\n"

// untilSettled watches until there is nothing more to wait for with the given jobs, and returns
// them.
func (w *watcher) untilSettled(ctx context.Context, ids []string) ([]*tasks.Job, error) {
	settled := func() bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return w.seen[id] == nil || !w.seen[id].State.Settled() })
	}
	if err := w.watch(ctx, settled); err != nil {
		return nil, err
	}
	jobs := make([]*tasks.Job, len(ids))
	for i, id := range ids {
		jobs[i] = w.seen[id]
	}
	return jobs, nil
}

// untilDone watches until the context is.
func (w *watcher) untilDone(ctx context.Context) error {
	err := w.watch(ctx, func() bool { return false })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (w *watcher) watch(ctx context.Context, enough func() bool) error {
	for {
		took, err := w.look(ctx)
		if err != nil || enough() {
			return err
		}
		// A look at thousands of jobs takes its time, and must not take all of it.
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(lookEvery, 10*took)):
		}
	}
}

// look prints what has happened since the last look, and returns how long it took to find out.
func (w *watcher) look(ctx context.Context) (took time.Duration, err error) {
	began := time.Now()
	var jobs []*tasks.Job
	for job, err := range w.client.List(ctx, tasks.Filter{}) {
		if err != nil {
			return 0, err
		}
		jobs = append(jobs, job)
	}
	took = time.Since(began)
	slices.SortStableFunc(jobs, func(a, b *tasks.Job) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	for _, job := range jobs {
		for _, state := range passed(w.seen[job.ID], job) {
			at := fmt.Sprintf("+%.1fs", time.Since(w.began).Seconds())
			_, _ = fmt.Fprintf(w.out, lineFormat, at, job.Operation, state, happened(job, state))
		}
		w.seen[job.ID] = job
	}
	return took, nil
}

// road is the way of a job on which all goes well. Creating is left out: it lasts for one request.
var road = []tasks.State{tasks.Pending, tasks.Rendering, tasks.Storing, tasks.Cleaning, tasks.Done}

func shown(s tasks.State) tasks.State {
	if s == tasks.Creating {
		return tasks.Pending
	}
	return s
}

// passed returns the states that a job has come into since it was last seen, those included that
// it passed between two looks: the road has no other way. For a poll it is the state as it was.
func passed(before, job *tasks.Job) []tasks.State {
	is := shown(job.State)
	to := slices.Index(road, is)
	if before == nil {
		before = &tasks.Job{}
	}
	was := shown(before.State)
	from := slices.Index(road, was)
	switch {
	case was == is && before.Polls == job.Polls:
		return nil
	case to > from && (was == "" || from >= 0):
		return road[from+1 : to+1]
	}
	return []tasks.State{is}
}

// happened says what brought the job into the state.
func happened(job *tasks.Job, state tasks.State) string {
	switch state {
	case tasks.Pending:
		return "accepted"
	case tasks.Rendering:
		if state == job.State && job.Polls > 1 {
			return fmt.Sprintf("poll %d: %s", job.Polls-1, job.RemoteStatus)
		}
		return "created project " + job.ProjectID
	case tasks.Storing:
		return fmt.Sprintf("poll %d: complete; copying %s", job.Polls, files(len(job.Sources)))
	case tasks.Cleaning:
		return files(len(job.Sources)) + " copied and proved"
	case tasks.Done:
		return "original at Magic Hour " + remote(job)
	}
	if job.Error != nil {
		return fmt.Sprintf("in stage %s: %s", job.Error.Stage, job.Error.Code)
	}
	return ""
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func remote(job *tasks.Job) string {
	if job.Remote == nil {
		return ""
	}
	return string(*job.Remote)
}
