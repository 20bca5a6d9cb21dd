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

// Entry is the notice as an entry of a Redis stream: id, type, job, and notice, which is all of it as JSON.
func (n Notice) Entry() ([]string, error) {
	text, err := n.Encode()
	return []string{"id", n.ID, "type", string(n.Type), "job", n.Job.ID, "notice", string(text)}, err
}

// Encode writes the notice as JSON, the same at every try.
func (n Notice) Encode() ([]byte, error) { return encode(n) }

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

	// GivenUp are the ways by which it was tried for long enough. Whoever runs the archived task tries once more.
	GivenUp []Way `json:"given_up,omitempty"`

	// Again is how often tasks of it were left in the hands of nobody: their ids are taken, and those that follow have
	// others.
	Again int `json:"again,omitempty"`
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
			j.Unsent = append(slices.Clone(j.Unsent), Unsent{Notice: n, To: ways})
		}
		told = append(told, n)
	}
	return told
}

// Untold reports whether somebody is still to be told, and is not given up.
func (j *Job) Untold() bool {
	return slices.ContainsFunc(j.Unsent, func(u Unsent) bool { return len(u.To) > 0 })
}

// ToTell returns a notice that was not told by a way yet; false if it was, or is no notice of this job's.
func (j *Job) ToTell(notice string, way Way) (Notice, bool) {
	for _, u := range j.Unsent {
		if u.Notice.ID == notice && (slices.Contains(u.To, way) || slices.Contains(u.GivenUp, way)) {
			return u.Notice, true
		}
	}
	return Notice{}, false
}

// TellAgain gives the tasks of a notice new ids.
func (j *Job) TellAgain(notice string) {
	j.Unsent = slices.Clone(j.Unsent)
	for i := range j.Unsent {
		if j.Unsent[i].Notice.ID == notice {
			j.Unsent[i].Again++
		}
	}
}

// Told takes a way off what is still to be told of a notice.
func (j *Job) Told(notice string, way Way) { j.without(notice, way, false) }

// GiveUpTelling leaves a way for good, unless somebody runs its task.
func (j *Job) GiveUpTelling(notice string, way Way) { j.without(notice, way, true) }

func (j *Job) without(notice string, way Way, givenUp bool) {
	isWay := func(w Way) bool { return w == way }
	var left []Unsent
	for _, u := range j.Unsent {
		if u.Notice.ID == notice {
			u.To = slices.DeleteFunc(slices.Clone(u.To), isWay)
			u.GivenUp = slices.DeleteFunc(slices.Clone(u.GivenUp), isWay)
			if givenUp {
				u.GivenUp = append(u.GivenUp, way)
			}
		}
		if len(u.To)+len(u.GivenUp) > 0 {
			left = append(left, u)
		}
	}
	j.Unsent = left
}

// Notifications are the tasks that tell what is still to be told.
func (j *Job) Notifications() []Payload {
	var all []Payload
	for _, u := range j.Unsent {
		for _, way := range u.To {
			h := Header{V: Version, JobID: j.ID, Epoch: j.Epoch, Operation: j.Operation, Trace: j.Trace}
			all = append(all, &Notification{Header: h, Notice: u.Notice.ID, To: way, Again: u.Again})
		}
	}
	return all
}
