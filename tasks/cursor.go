package tasks

import (
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/seed-290c2414/hourglass/internal/records"
)

// A cursor is a place in a list: the moment that was come to, and the jobs of that very moment that were listed.
type cursor struct {
	At  records.Moment `json:"at"`
	IDs []string       `json:"ids,omitempty"`
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
func (c cursor) after(f found) cursor {
	if f.entry.At == c.At {
		return cursor{c.At, append(c.IDs, f.entry.Job)}
	}
	return cursor{f.entry.At, []string{f.entry.Job}}
}

// upTo is the cursor once all up to a place were looked at, which need not have been listed. It does not name the job
// there, which may be one that whoever gets the cursor is not to know of: the next part looks at it again.
func (c cursor) upTo(p place) cursor {
	if p.entry.At == c.At || p.entry.At == 0 {
		return c
	}
	return cursor{At: p.entry.At}
}
