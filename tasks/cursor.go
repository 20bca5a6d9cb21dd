package tasks

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// A cursor is a place in a list: the moment that was come to, and the job of that moment that was listed last. Those of
// one moment are listed by their ids, the greatest first.
type cursor struct {
	At records.Moment `json:"at"`
	ID string         `json:"id,omitempty"`
}

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err == nil && c.At <= 0 {
		err = errors.New("no moment")
	}
	if err != nil {
		return c, invalid("cursor", errors.New("the cursor is not one that was given out"))
	}
	return c, nil
}

// String writes the cursor so that it can be part of a URL.
func (c cursor) String() string {
	data, _ := json.Marshal(c) // numbers and strings always can be
	return base64.RawURLEncoding.EncodeToString(data)
}

// after is the cursor once a job was listed.
func after(e records.Entry) cursor { return cursor{e.At, e.Job} }

// upTo is the cursor once all up to an entry were looked at, which need not have been listed. It does not name that
// job, which whoever gets the cursor may not be to know of: the next part looks at it again.
func (c cursor) upTo(e records.Entry) cursor {
	if e.At == c.At || e.At == 0 {
		return c
	}
	return cursor{At: e.At}
}

// has reports whether an entry comes before the cursor, or at it.
func (c cursor) has(e records.Entry) bool { return c.ID != "" && e.At == c.At && e.Job >= c.ID }
