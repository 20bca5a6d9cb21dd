package tasks

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// A Filter says which jobs List looks for. The zero Filter is every job.
type Filter struct {
	States    []State   // in one of these states; none: in any
	Operation string    // of this operation
	Tenant    string    // on whose behalf; "": anybody's
	Since     time.Time // whose state changed at this time or later
	Held      bool      // that are held, but not those that only wait for their turn
}

// takes looks at the record; when its state changed is told by the index, in fill.
func (f Filter) takes(job *Job) bool {
	return (len(f.States) == 0 || slices.Contains(f.States, job.State)) &&
		(f.Operation == "" || f.Operation == job.Operation) && (f.Tenant == "" || f.Tenant == job.Options.Tenant) && (!f.Held || job.Hold != nil && job.Hold.Code != WindowFull)
}

// List returns the jobs that have a record, the one whose state changed last first. A job that was
// enqueued as a bare task has its record once a worker has seen it.
//
// It reads an index of jobs by state and the records that it finds there, a page at a time, and
// never looks at the keys of Redis; a filter by state reads the jobs of that state only. A job
// that changes its state meanwhile may be missed, or come out of order. A record that can't be read
// comes as an error in its place; an error of Redis, which is ErrUnavailable, ends the list. May be repeated.
func (c *Client) List(ctx context.Context, f Filter) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		l := c.listing(f, cursor{})
		for !l.over {
			page, err := l.page(ctx)
			if err != nil {
				yield(nil, ofRedis(ctx, err))
				return
			}
			for _, found := range page {
				if !yield(found.job, found.err) {
					return
				}
			}
		}
	}
}

// Page is List in parts, for callers that come back: it returns up to limit jobs from where the cursor says, "" from
// the start, and the cursor of the next part, "" at the end. A part may be shorter than the limit, and even empty: of
// many jobs only so many are looked at in a call. Records that can't be read are left out. A cursor that Page has not
// made is ErrInvalid.
func (c *Client) Page(ctx context.Context, f Filter, from string, limit int) (jobs []*Job, next string, err error) {
	defer markRedis(ctx, &err)
	at, err := parseCursor(from)
	if err != nil {
		return nil, "", err
	}
	l := c.listing(f, at)
	for looked := 0; !l.over && looked < lookAtMost; looked += listPage {
		page, err := l.page(ctx)
		if err != nil {
			return nil, "", err
		}
		for _, found := range page {
			if found.err != nil {
				continue
			}
			if len(jobs) == limit {
				return jobs, at.String(), nil
			}
			jobs = append(jobs, found.job)
			at = after(found.entry)
		}
		at = at.upTo(l.last.entry)
	}
	if l.over {
		return jobs, "", nil
	}
	return jobs, at.String(), nil
}

// lookAtMost is how many entries of the index a part may cost.
const lookAtMost = 10_000

// listing begins a walk.
func (c *Client) listing(f Filter, at cursor) *listing {
	l := &listing{client: c, filter: f, from: at, seen: map[string]bool{}}
	states := f.States
	if len(states) == 0 {
		states = States()
	}
	for _, state := range states {
		l.shelves = append(l.shelves, &shelf{state: state, more: true, from: at.At, limit: listPage})
	}
	return l
}

// listPage is how many entries are read at once.
const listPage = 100

// A listing is one walk over the index.
type listing struct {
	client  *Client
	filter  Filter
	shelves []*shelf
	from    cursor
	seen    map[string]bool // jobs that were found
	last    place           // that was looked at
	over    bool
}

// A shelf is what is read of the jobs of one state.
type shelf struct {
	state   State
	entries []records.Entry // read, and not looked at yet
	from    records.Moment  // where the next page begins
	limit   int             // how many it may have
	more    bool            // whether there may be one
}

// found is a job, or why its record can't be read.
type found struct {
	place
	job *Job
	err error
}

// page looks at the next entries of all shelves together and returns what the filter takes.
func (l *listing) page(ctx context.Context) ([]found, error) {
	var ids []string
	var places []place
	for len(ids) < listPage {
		next, err := l.next(ctx)
		if err != nil {
			return nil, err
		}
		if next == nil {
			l.over = true
			break
		}
		entry := next.entries[0]
		next.entries = next.entries[1:]
		l.last = place{next.state, entry}
		ids, places = append(ids, entry.Job), append(places, l.last)
	}
	texts, err := l.client.records.LoadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	var page []found
	for i, text := range texts {
		job, err := l.look(ctx, places[i], text)
		if !l.seen[ids[i]] && (err != nil || job != nil && l.filter.takes(job)) {
			page = append(page, found{places[i], job, err})
			l.seen[ids[i]] = true // not of one that is not there: it is in another place
		}
	}
	return page, nil
}

// A place is where the index holds a job.
type place struct {
	state State
	entry records.Entry
}

// enterAhead is how long before its record a job may stand in the index.
const enterAhead = time.Hour

// look reads a record; nil is a job without one. It clears the index of a place that the record
// does not confirm.
func (l *listing) look(ctx context.Context, p place, text []byte) (job *Job, err error) {
	if text != nil {
		if job, err = DecodeJob(text); err != nil {
			return nil, err
		}
	}
	if job != nil && job.State == p.state {
		return job, nil
	}
	if job != nil { // it may have lost its own place
		if _, err := l.client.records.EnsureEntered(ctx, string(job.State), job.ID); err != nil {
			return job, nil //nolint:nilerr // the index can wait for the next listing
		}
	}
	_ = l.client.records.Clear(ctx, string(p.state), p.entry.Job, enterAhead)
	return job, nil
}

// next returns the shelf with the youngest entry, or nil if there are no more.
func (l *listing) next(ctx context.Context) (*shelf, error) {
	var youngest *shelf
	for _, s := range l.shelves {
		if err := l.fill(ctx, s); err != nil {
			return nil, err
		}
		if len(s.entries) > 0 && (youngest == nil || before(s.entries[0], youngest.entries[0])) {
			youngest = s
		}
	}
	return youngest, nil
}

// before reports whether a comes before b in a list: in the order of the index, too.
func before(a, b records.Entry) bool { return a.At > b.At || a.At == b.At && a.Job > b.Job }

// fill reads the next page of an empty shelf. Pages overlap by the moment at which they meet, or the rest of the jobs
// of that moment would be skipped: so one that is of a single moment is read again, with more.
func (l *listing) fill(ctx context.Context, s *shelf) error {
	for len(s.entries) == 0 && s.more {
		entries, err := l.client.records.Latest(ctx, string(s.state), s.from, s.limit)
		if err != nil {
			return err
		}
		s.more = len(entries) == s.limit
		if n := len(entries); n > 0 && entries[0].At == entries[n-1].At {
			s.limit *= 2
		} else {
			s.limit = listPage
		}
		for _, e := range entries {
			if !l.filter.Since.IsZero() && e.At.Time().Before(l.filter.Since) {
				s.more = false
				break
			}
			s.from = e.At
			if !l.from.has(e) {
				s.entries = append(s.entries, e)
			}
		}
	}
	return nil
}
