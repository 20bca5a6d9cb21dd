package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/seed-290c2414/hourglass/tasks"
)

// An entry is a line that was checked.
type entry struct {
	Number int             // of the line, from 1
	Job    *tasks.Job      // with an id, made if the line has none
	Named  bool            // whether the id comes again when the file is read again
	Given  json.RawMessage `json:",omitempty"` // the body with the names of local files; none if there are none
}

// encode writes an entry as the spool keeps it.
func (e entry) encode() ([]byte, error) {
	var text bytes.Buffer
	to := json.NewEncoder(&text)
	to.SetEscapeHTML(false) // bodies are compared by their bytes
	err := to.Encode(e)
	return text.Bytes(), err
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
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &spool{file: file, to: bufio.NewWriterSize(file, 1<<18)}, nil
}

func (s *spool) add(text []byte) error {
	s.lines++
	if _, err := s.to.Write(text); err != nil {
		return fmt.Errorf("%w: %w", errNoSpace, err)
	}
	return nil
}

// blocks gives the entries, as they are written, in blocks of up to size, with the number of entries before each.
func (s *spool) blocks(size int, do func(before int, texts [][]byte) error) error {
	if err := s.to.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errNoSpace, err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the checked lines again: %w", err)
	}
	lines := bufio.NewReaderSize(s.file, 1<<18)
	for before := 0; before < s.lines; before += size {
		texts := make([][]byte, 0, min(size, s.lines-before))
		for len(texts) < cap(texts) {
			text, err := lines.ReadBytes('\n')
			if err != nil {
				return fmt.Errorf("read the checked lines again: %w", err)
			}
			texts = append(texts, text)
		}
		if err := do(before, texts); err != nil {
			return err
		}
	}
	return nil
}

// each gives the entries one by one.
func (s *spool) each(do func(entry) error) error {
	return s.blocks(1, func(_ int, texts [][]byte) error {
		e, err := readEntry(texts[0])
		if err != nil {
			return err
		}
		return do(e)
	})
}

func readEntry(text []byte) (e entry, err error) {
	if err = json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("read the checked lines again: %w", err)
	}
	return e, nil
}
