package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// An entry is a line that was checked.
type entry struct {
	Number int        // of the line, from 1
	Named  bool       // whether the id, made if the line has none, comes again when the file is read again
	Job    *tasks.Job // as it would be accepted now
	Given  []byte     // the body with the names of local files; empty if there are none
}

// encode writes an entry as the spool keeps it: its length, and the parts, each after its own. JSON would take as long
// as all that is done with it.
func (e entry) encode() ([]byte, error) {
	var options, warnings []byte
	var err error
	if !reflect.ValueOf(e.Job.Options).IsZero() {
		if options, err = json.Marshal(e.Job.Options); err != nil {
			return nil, err
		}
	}
	if len(e.Job.Warnings) > 0 {
		if warnings, err = json.Marshal(e.Job.Warnings); err != nil {
			return nil, err
		}
	}
	named := []byte{}
	if e.Named {
		named = []byte{1}
	}
	text := binary.AppendUvarint(make([]byte, 0, len(e.Job.Body)+len(e.Given)+len(options)+100), uint64(e.Number)) //nolint:gosec // of a line: not negative
	for _, part := range [][]byte{[]byte(e.Job.ID), []byte(e.Job.Operation), e.Job.Body, options, warnings, e.Given, named} {
		text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
	}
	return append(binary.AppendUvarint(nil, uint64(len(text))), text...), nil
}

// readEntry reads what encode has written, without the length of all.
func readEntry(text []byte) (e entry, err error) {
	number, n := binary.Uvarint(text)
	text = text[n:]
	part := func() []byte {
		size, n := binary.Uvarint(text)
		end := n + int(size) //nolint:gosec // it was a length
		part := text[n:end]
		text = text[end:]
		return part
	}
	e.Number = int(number) //nolint:gosec // it was an int
	r := tasks.Request{ID: string(part()), Operation: string(part()), Body: part()}
	warnings := []string{}
	if options := part(); len(options) > 0 {
		err = json.Unmarshal(options, &r.Options)
	}
	if text := part(); len(text) > 0 {
		err = errors.Join(err, json.Unmarshal(text, &warnings))
	}
	e.Given, e.Named = part(), len(part()) > 0
	e.Job = tasks.Accepted(r, warnings, time.Now())
	return e, err
}

// A spool keeps the entries in a temporary file: a batch may be larger than memory, its file may change while it
// is submitted, and standard input comes but once. The file has no name, so nothing is left of it, however the
// program ends.
type spool struct {
	file  *os.File
	to    *bufio.Writer
	lines int
}

func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "enqueue-batch-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSpace, err)
	}
	_ = os.Remove(file.Name()) // where that is not possible while it is open, close does it
	return &spool{file: file, to: bufio.NewWriterSize(file, 1<<18)}, nil
}

func (s *spool) close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

func (s *spool) add(text []byte) error {
	s.lines++
	if _, err := s.to.Write(text); err != nil {
		return fmt.Errorf("%w: %w", errNoSpace, err)
	}
	return nil
}

// blockBytes bounds a block: lines may be long.
const blockBytes = 1 << 20

// blocks gives the entries in blocks of up to size, and of about blockBytes, with the number of entries before each.
func (s *spool) blocks(size int, do func(before int, entries []entry) error) error {
	if err := s.to.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errNoSpace, err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the checked lines again: %w", err)
	}
	from := bufio.NewReaderSize(s.file, 1<<18)
	for before := 0; before < s.lines; {
		entries := make([]entry, 0, min(size, s.lines-before))
		for left := blockBytes; left > 0 && len(entries) < cap(entries); {
			e, length, err := nextEntry(from)
			if err != nil {
				return fmt.Errorf("read the checked lines again: %w", err)
			}
			entries, left = append(entries, e), left-length
		}
		if err := do(before, entries); err != nil {
			return err
		}
		before += len(entries)
	}
	return nil
}

func nextEntry(from *bufio.Reader) (e entry, length int, err error) {
	size, err := binary.ReadUvarint(from)
	if err != nil {
		return e, 0, err
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(from, text); err != nil {
		return e, 0, err
	}
	e, err = readEntry(text)
	return e, len(text), err
}

// each gives the entries one by one.
func (s *spool) each(do func(entry) error) error {
	return s.blocks(1, func(_ int, entries []entry) error { return do(entries[0]) })
}
