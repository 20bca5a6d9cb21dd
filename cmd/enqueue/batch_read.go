package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// A batch is what is known of all lines. What they hold is in the spool.
type batch struct {
	form       form
	say        say
	spool      *spool
	progress   *count
	seen       map[uint64]sighting // by the digest of the id
	unnamed    int                 // lines whose id is made
	operations map[string]int      // good lines of each
	bad        int                 // lines
	problems   []refusal           // of the first bad lines
	warnings   map[string]*warning
	dropped    int // warnings that are not among these

	mu    sync.Mutex // for local while the lines are read
	local files
}

// A sighting of an id. It is all that is kept in memory of a line. That two digests are equal by chance, in a million
// lines, is less likely than that memory fails; it would refuse the batch.
type sighting struct {
	line    uint32
	request [8]byte // the digest of the request
}

func newBatch(f form, to say) (*batch, error) {
	s, err := newSpool()
	if err != nil {
		return nil, err
	}
	return &batch{form: f, say: to, spool: s, progress: &count{}, seen: map[uint64]sighting{}, operations: map[string]int{}, warnings: map[string]*warning{}}, nil
}

func (b *batch) close() { b.spool.close() }

// A checked row is an entry or is refused.
type checked struct {
	entry
	text    []byte // the entry as the spool keeps it
	refused *refusal
}

// rowsAtOnce is how many rows are checked by one goroutine.
const rowsAtOnce = 200

// read checks every line, on all cores. The error is one of reading; bad lines are among the problems.
func (b *batch) read(ctx context.Context, r io.Reader) error {
	b.progress.begin("checked", 0)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks := make(chan chan []checked, runtime.GOMAXPROCS(0))
	trouble := make(chan error, 1)
	go func() {
		defer close(blocks)
		trouble <- b.form.eachBlock(r, rowsAtOnce, func(rows []row) error {
			done := make(chan []checked, 1)
			select {
			case blocks <- done:
			case <-ctx.Done():
				return ctx.Err()
			}
			go func() { done <- b.check(rows) }()
			return nil
		})
	}()
	for done := range blocks {
		for _, c := range <-done {
			if err := b.keep(c); err != nil {
				return err
			}
		}
	}
	b.seen = nil // all twins are found
	return <-trouble
}

// check reads rows and looks at what they ask for.
func (b *batch) check(rows []row) []checked {
	all := make([]checked, len(rows))
	for i, r := range rows {
		all[i].Number = r.number
		if all[i].refused = r.refused; r.refused != nil {
			continue
		}
		if err := b.checkRow(r, &all[i]); err != nil {
			all[i].refused = b.form.refuse(r.number, err)
		}
	}
	return all
}

func (b *batch) checkRow(r row, c *checked) error {
	l, err := b.form.line(r)
	if err != nil {
		return err
	}
	if c.Named = l.ID != "" || b.form.idPrefix != ""; l.ID == "" && c.Named {
		l.ID = b.form.idPrefix + "-" + strconv.Itoa(r.nth)
	}
	given := l.Body
	body, named, wrong := b.standIn(l.Operation, given)
	if l.Body = body; named {
		c.Given = given
	}
	job, err := tasks.NewJob(l.request(), time.Now())
	if err := errors.Join(wrong, err); err != nil {
		return err
	}
	c.Job = job
	c.text, err = c.encode()
	return err
}

// standIn is that of the files, for many goroutines. Most requests name no local file, and need not wait.
func (b *batch) standIn(operation string, body json.RawMessage) (changed json.RawMessage, named bool, err error) {
	op, known := operations.Lookup(operation)
	if !known || len(op.Assets) == 0 {
		return body, false, nil
	}
	for _, a := range op.AssetsOf(body) {
		if a.Local() {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.local.standIn(operation, body)
		}
	}
	return body, false, nil
}

// keep takes note of a row.
func (b *batch) keep(c checked) error {
	b.progress.add(1)
	if c.refused == nil && c.Named {
		first, stands, err := b.meet(c.Number, c.Job)
		switch {
		case err != nil:
			return err
		case stands && first.line == 0:
			b.warn(c.Number, "the same as an earlier line: one job")
			return nil
		case stands:
			c.refused = b.form.refuse(c.Number, fmt.Errorf("id %s: stands in line %d with a different request", c.Job.ID, first.line))
		}
	}
	if c.refused != nil {
		b.bad++
		if len(b.problems) < mostProblems {
			b.problems = append(b.problems, *c.refused)
		}
		return nil
	}
	for _, text := range c.Job.Warnings {
		b.warn(c.Number, "body: "+text)
	}
	if !c.Named {
		b.unnamed++
	}
	b.operations[c.Job.Operation]++
	return b.spool.add(c.text)
}

// meet reports whether an id stood in an earlier line, and in which one if it was with a different request.
func (b *batch) meet(number int, job *tasks.Job) (first sighting, stands bool, err error) {
	options, err := json.Marshal(job.Options)
	if err != nil {
		return first, false, err
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%s\n", job.Operation, options)
	_, _ = h.Write(job.Body)
	request, digest := [8]byte(h.Sum(nil)), sha256.Sum256([]byte(job.ID))
	id := binary.BigEndian.Uint64(digest[:])
	if first, stands = b.seen[id]; !stands {
		b.seen[id] = sighting{uint32(number), request} //nolint:gosec // no file has four thousand million lines of JSON
		return first, false, nil
	}
	if first.request == request {
		first.line = 0
	}
	return first, true, nil
}

// A row is one job of a file, as it is written there.
type row struct {
	number  int      // of the line where it begins, from 1
	nth     int      // among the rows, from 1: blank lines and line breaks in cells come and go
	text    []byte   // a line of JSON
	cells   []string // a row of CSV
	refused *refusal // what could not even be read
}

// eachBlock reads rows of either kind, in blocks of up to size and of about blockBytes.
func (f *form) eachBlock(r io.Reader, size int, do func([]row) error) error {
	var block []row
	bytes, nth := 0, 0
	each := func(r row) error {
		nth++
		r.nth = nth
		bytes += len(r.text)
		for _, cell := range r.cells {
			bytes += len(cell)
		}
		if block = append(block, r); len(block) < size && bytes < blockBytes {
			return nil
		}
		rows := block
		block, bytes = nil, 0
		return do(rows)
	}
	var err error
	if f.csv {
		err = f.eachRow(r, each)
	} else {
		err = f.eachLine(r, each)
	}
	if err == nil && len(block) > 0 {
		err = do(block)
	}
	return err
}

const byteOrderMark = "\ufeff"

func (f *form) eachLine(r io.Reader, do func(row) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), longestLine)
	number := 0
	for lines.Scan() {
		number++
		text := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte(byteOrderMark)))
		if len(text) == 0 {
			continue
		}
		if err := do(row{number: number, text: bytes.Clone(text)}); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return do(row{number: number + 1, refused: f.refuse(number+1, tooLong())})
	}
	return lines.Err()
}

func tooLong() error {
	return fmt.Errorf("longer than %d bytes; the lines after it were not read", longestLine)
}
