package tasks

import (
	"crypto/rand"
	"slices"
	"time"
)

// A View is what everybody may know of a job, with what the caller has said of it. It is what the command line
// prints as JSON, what HTTP answers, and what notices hold.
type View struct {
	Status

	Priority Priority          `json:"priority,omitempty"`
	Tenant   string            `json:"tenant,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// View returns what everybody may know of the job.
func (j *Job) View() View {
	return View{j.Status, j.Options.Priority, j.Options.Tenant, j.Options.Metadata}
}

// A Notice tells of a turn in the life of a job. It is what an HTTP callback, an Asynq task and a Redis stream are
// given, as JSON. It may come more than once, with the same ID, and notices of one job may come in any order:
// Timestamp tells.
type Notice struct {
	V         int        `json:"v"` // version of this form: 1
	ID        string     `json:"id"`
	Type      NoticeType `json:"type"`
	Timestamp time.Time  `json:"timestamp"` // when it happened
	Job       View       `json:"data"`      // as it stood then
}

// A NoticeType is what a Notice tells of.
type NoticeType string

// What notices tell of. NoticeDone is only told to the stream of the fleet: what a caller waits for is the files.
const (
	NoticeStored   NoticeType = "job.stored" // the files may be used
	NoticeFailed   NoticeType = "job.failed"
	NoticeCanceled NoticeType = "job.canceled"
	NoticeUnknown  NoticeType = "job.unknown" // nobody can tell whether it was charged
	NoticeDone     NoticeType = "job.done"
)

// A Way is one of the three by which a Notice is told.
type Way string

// The ways of Notify.
const (
	WayURL    Way = "url"
	WayTask   Way = "task"
	WayStream Way = "stream"
)

func (n Notify) ways() []Way {
	var ways []Way
	if n.URL != "" {
		ways = append(ways, WayURL)
	}
	if n.Task != nil {
		ways = append(ways, WayTask)
	}
	if n.Stream != "" {
		ways = append(ways, WayStream)
	}
	return ways
}

// Unsent is a Notice that is still to be told. It stands in the record from the very save that it is about, so that
// none is lost with a worker, a client or a task.
type Unsent struct {
	Notice Notice `json:"notice"`
	To     []Way  `json:"to"`
}

// Announce adds the notices of what has become of a job since before, and returns them all: also those that only the
// stream of the fleet is told. It is called once for every save.
func (j *Job) Announce(before *Job) []Notice {
	var types []NoticeType
	if at := j.StoredAt; at != nil && (before.StoredAt == nil || !before.StoredAt.Equal(*at)) {
		types = append(types, NoticeStored)
	}
	if j.State != before.State {
		switch j.State { //nolint:exhaustive // the others are stages of the road
		case Failed:
			types = append(types, NoticeFailed)
		case Canceled:
			types = append(types, NoticeCanceled)
		case Unknown:
			types = append(types, NoticeUnknown)
		case Done:
			types = append(types, NoticeDone)
		}
	}
	var told []Notice
	for _, t := range types {
		n := Notice{V: Version, ID: "msg_" + rand.Text(), Type: t, Timestamp: j.UpdatedAt, Job: j.View()}
		if ways := j.Options.Notify.ways(); len(ways) > 0 && t != NoticeDone {
			j.Unsent = append(slices.Clone(j.Unsent), Unsent{n, ways})
		}
		told = append(told, n)
	}
	return told
}

// Told takes a way off what is still to be told of a notice, and reports whether it was there.
func (j *Job) Told(notice string, way Way) bool {
	for i, u := range j.Unsent {
		at := slices.Index(u.To, way)
		if u.Notice.ID != notice || at < 0 {
			continue
		}
		j.Unsent = slices.Clone(j.Unsent)
		j.Unsent[i].To = slices.Delete(slices.Clone(u.To), at, at+1)
		j.Unsent = slices.DeleteFunc(j.Unsent, func(u Unsent) bool { return len(u.To) == 0 })
		return true
	}
	return false
}
