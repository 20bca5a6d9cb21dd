package tasks

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Options are the caller's wishes that are not part of the API's request.
type Options struct {
	// Overwrite allows replacing objects that stand where the job's files belong.
	Overwrite bool `json:"overwrite,omitempty"`

	// Priority and Tenant say in which order jobs are created that have to wait, since as many projects
	// are rendering as the workers allow: first those of a higher priority, and within one in turn
	// between the tenants. They have no effect otherwise.
	Priority Priority `json:"priority,omitempty"`
	Tenant   string   `json:"tenant,omitempty"` // on whose behalf: up to 64 of A-Z a-z 0-9 . _ -

	// GiveUp is the age at which the job fails if it is unfinished, counted from the purchase once there is one;
	// at least a minute. 0 is what the workers are set to.
	GiveUp Duration `json:"give_up,omitempty"`

	// KeyPrefix is the folder in which the job's own is made: <KeyPrefix>/<job id>/<n>.<ext>. Up to 200 of
	// A-Z a-z 0-9 . _ - and /, each segment beginning with a letter or digit.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// Metadata is the caller's own: it stands in the job's View, in notices and in the manifest, and is nowhere
	// heeded. Up to 32 pairs and 4,096 bytes in all. No secrets: dashboards show it.
	Metadata map[string]string `json:"metadata,omitempty"`

	// KeepRemote leaves the project at Magic Hour once its files are stored and proved.
	KeepRemote bool `json:"keep_remote,omitempty"`

	// Notify says who is told of what becomes of the job.
	Notify Notify `json:"notify,omitzero"`
}

// Notify names those who are to be told, by a Notice, when the files of a job are stored, or when it failed, was
// canceled, or is parked as unknown. Each is told at least once; the Notice has the same id every time.
type Notify struct {
	// URL takes a POST of the Notice, signed as https://www.standardwebhooks.com has it. What is not answered with
	// 2xx is tried again for 24 hours.
	URL string `json:"url,omitempty"`

	Task *NotifyTask `json:"task,omitempty"` // an Asynq task that is enqueued with the Notice as its payload

	// Stream is the key of a stream in the Redis of the fleet, whose entries have the fields id, type, job and
	// notice. It is cut to about its last 100,000 entries.
	Stream string `json:"stream,omitempty"`
}

// NotifyTask is where the Asynq task of a Notice goes, in the Redis of the fleet.
type NotifyTask struct {
	Queue string `json:"queue"`
	Type  string `json:"type"`
}

// A Duration is a time.Duration that JSON has as text, such as "36h".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

const leastGiveUp = Duration(time.Minute)

// A Priority is how urgent a job is. The zero Priority is PriorityNormal. It can't be
// changed once a job is submitted.
type Priority string

// The priorities of a job, the highest first.
const (
	PriorityHigh   Priority = "high"
	PriorityNormal Priority = "normal"
	PriorityLow    Priority = "low"
)

// Rank is 1 for PriorityHigh, 2 for PriorityNormal and 3 for PriorityLow.
func (p Priority) Rank() int {
	switch p {
	case PriorityHigh:
		return 1
	case PriorityLow:
		return 3
	}
	return 2
}

var validTenant = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

const (
	longestKeyPrefix = 200
	mostMetadata     = 32
	longestMetadata  = 4096 // bytes, of all names and values
	longestURL       = 2048
)

var (
	validPrefix = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)
	validStream = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._{}-]{0,127}$`)
	validQueue  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$`)
)

// reserved are what names in Redis begin with that belong to Hourglass and to Asynq.
func reserved(name string) bool {
	return strings.HasPrefix(name, "hourglass") || strings.HasPrefix(name, "asynq:")
}

// check returns what is wrong with the options.
func (o Options) check() []Problem {
	var wrong []Problem
	if !slices.Contains([]Priority{"", PriorityHigh, PriorityNormal, PriorityLow}, o.Priority) {
		wrong = append(wrong, problem("options.priority", "want high, normal or low, not %q", o.Priority))
	}
	if !validTenant.MatchString(o.Tenant) {
		wrong = append(wrong, problem("options.tenant", "want up to 64 of A-Z a-z 0-9 . _ -, not %q", o.Tenant))
	}
	if o.GiveUp != 0 && o.GiveUp < leastGiveUp {
		wrong = append(wrong, problem("options.give_up", "want at least 1m, not %s", time.Duration(o.GiveUp)))
	}
	if o.KeyPrefix != "" && (len(o.KeyPrefix) > longestKeyPrefix || !validPrefix.MatchString(o.KeyPrefix)) {
		wrong = append(wrong, problem("options.key_prefix", "want up to %d of A-Z a-z 0-9 . _ - and /, each segment beginning with a letter or digit, not %q", longestKeyPrefix, o.KeyPrefix))
	}
	return slices.Concat(wrong, o.checkMetadata(), o.Notify.check())
}

func (o Options) checkMetadata() []Problem {
	var wrong []Problem
	size := 0
	for name, value := range o.Metadata {
		if name == "" || !utf8.ValidString(name+value) {
			wrong = append(wrong, problem("options.metadata", "want names and UTF-8; see %q", name))
		}
		size += len(name) + len(value)
	}
	if len(o.Metadata) > mostMetadata || size > longestMetadata {
		wrong = append(wrong, problem("options.metadata", "%d pairs of %d bytes in all: want at most %d of %d", len(o.Metadata), size, mostMetadata, longestMetadata))
	}
	return wrong
}

func (n Notify) check() []Problem {
	var wrong []Problem
	if n.URL != "" {
		u, err := url.Parse(n.URL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(n.URL) > longestURL {
			wrong = append(wrong, problem("options.notify.url", "want http(s)://host/path of up to %d bytes, without user or fragment", longestURL)) // it may hold a secret: not quoted
		}
	}
	if t := n.Task; t != nil && (!validQueue.MatchString(t.Queue) || reserved(t.Queue) || strings.TrimSpace(t.Type) == "" || len(t.Type) > 128 || reserved(t.Type)) {
		wrong = append(wrong, problem("options.notify.task", "queue %q, type %q: want a queue and a type of your own, up to 128 bytes, not beginning with hourglass", t.Queue, t.Type))
	}
	if n.Stream != "" && (!validStream.MatchString(n.Stream) || reserved(n.Stream)) {
		wrong = append(wrong, problem("options.notify.stream", "want up to 128 of A-Z a-z 0-9 : . _ - { }, not beginning with asynq: or hourglass; not %q", n.Stream))
	}
	return wrong
}

// plain writes what is the default one way.
func (o Options) plain() Options {
	if o.Priority == PriorityNormal {
		o.Priority = ""
	}
	if len(o.Metadata) == 0 {
		o.Metadata = nil
	}
	return o
}

// equal goes by what is written in the record.
func (o Options) equal(other Options) bool {
	a, errA := encode(o)
	b, errB := encode(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
