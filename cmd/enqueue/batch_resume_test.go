package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// TestBatchResumes: the same again submits what is missing, and writes nothing of what stands.
func TestBatchResumes(t *testing.T) {
	t.Parallel()
	addr := testservers.Redis(t)
	url := "redis://" + addr
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = rdb.Close() }()
	ctx := t.Context()
	text := strings.ReplaceAll(batchOf(20), `"id"`, `"options":{"tenant":"acme"},"id"`)
	if _, said, code := enqueue(t, url, firstLines(text, 12), "batch", "-"); code != 0 {
		t.Fatal(said)
	}
	// It was killed between record and task of one, and between the deadline and the record of another.
	const deadlines = "hourglass:{fleet}:deadlines"
	if err := rdb.Del(ctx, "asynq:{hourglass-create}:t:clip-3:create", "hourglass:{clip-4}:record", "asynq:{hourglass-create}:t:clip-4:create").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.LRem(ctx, "asynq:{hourglass-create}:pending", 0, "clip-3:create").Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.LRem(ctx, "asynq:{hourglass-create}:pending", 0, "clip-4:create").Err(); err != nil {
		t.Fatal(err)
	}
	standing := func() string {
		var all []string
		for i := range 12 {
			if i == 3 || i == 4 {
				continue
			}
			id := fmt.Sprintf("clip-%d", i)
			all = append(all, id, rdb.HGet(ctx, "hourglass:{"+id+"}:record", "rev").Val(), fmt.Sprintf("%.0f", rdb.ZScore(ctx, deadlines, id).Val()))
		}
		return strings.Join(all, " ")
	}
	before := standing()
	out, said, code := enqueue(t, url, text, "batch", "-")
	if code != 0 || strings.Count(out, "\n") != 20 || !strings.Contains(said, "20 jobs accepted, 12 of them before") && !strings.Contains(said, "20 jobs accepted, 11 of them before") {
		t.Errorf("exit %d, %s", code, said)
	}
	if after := standing(); after != before {
		t.Errorf("what stood was written again:\n%s\n%s", before, after)
	}
	pending := rdb.LRange(ctx, "asynq:{hourglass-create}:pending", 0, -1).Val()
	seen := map[string]bool{}
	for _, task := range pending {
		seen[task] = true
	}
	if records := rdb.Keys(ctx, "hourglass:{clip-*}:record").Val(); len(pending) != 20 || len(seen) != 20 || len(records) != 20 {
		t.Errorf("%d tasks of %d jobs with %d records, want 20", len(pending), len(seen), len(records))
	}
}

func firstLines(text string, n int) string {
	return strings.Join(strings.SplitAfter(text, "\n")[:n], "")
}

// TestIDPrefix: lines without an id are no new jobs when they come again, whatever blank lines there are by then.
func TestIDPrefix(t *testing.T) {
	t.Parallel()
	m, url := start(t)
	text := clip + "\n\n" + voice + "\n" + voice + "\n"
	for _, text := range []string{text, text, "\n" + strings.ReplaceAll(text, "\n", "\n\n")} {
		out, said, code := enqueue(t, url, text, "batch", "-", "--id-prefix", "june")
		if code != 0 || out != "clip\njune-2\njune-3\n" {
			t.Errorf("exit %d, %s%s", code, out, said)
		}
	}
	checkEnqueued(t, m, 3)
	if _, said, code := enqueue(t, url, strings.Replace(clip, `"clip"`, `"june-2"`, 1)+"\n"+voice, "batch", "-", "--id-prefix", "june"); code != exitRefused || !strings.Contains(said, "line 2: id june-2: stands in line 1") {
		t.Errorf("the same id by itself: exit %d, %s", code, said)
	}
}

// TestBatchOfOneAtATime: every bound of --concurrency works.
func TestBatchOfOneAtATime(t *testing.T) {
	t.Parallel()
	m, url := start(t)
	for i, n := range []int{1, mostConcurrency} {
		text := strings.ReplaceAll(batchOf(7), "clip-", fmt.Sprintf("clip-%d-", i))
		if _, said, code := enqueue(t, url, text, "batch", "-", "--concurrency", fmt.Sprint(n)); code != 0 {
			t.Errorf("--concurrency %d: exit %d, %s", n, code, said)
		}
	}
	checkEnqueued(t, m, 14)
}

// TestSpoolLeavesNothing: whatever ends the program, no file is left.
func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.file.Close() }()
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("%v, %v", files, err)
	}
	t.Setenv("TMPDIR", dir+"/none")
	if _, said, code := enqueue(t, nowhere, clip, "batch", "-"); code != exitFailure || !strings.Contains(said, "set TMPDIR to a folder with space") {
		t.Errorf("no room: exit %d, %s", code, said)
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	var c count
	if got := c.say(time.Now()); got != "" {
		t.Errorf("before it begins: %q", got)
	}
	c.begin("submitted", 100)
	c.add(50)
	if got, want := c.say(c.what.Load().began.Add(10*time.Second)), "submitted 50 of 100, 5 a second"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBatchReadStops: a file without end is left when the program is told to stop.
func TestBatchReadStops(t *testing.T) {
	t.Parallel()
	b, err := newBatch(form{}, say{stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	ctx, cancel := context.WithCancel(t.Context())
	lines := &endless{then: cancel}
	if err := b.read(ctx, lines); err == nil {
		t.Error("it has read a file without end")
	}
}

// endless is a file of the same line, which says when it has been read for a while.
type endless struct {
	n    int
	then func()
}

func (e *endless) Read(into []byte) (int, error) {
	if e.n++; e.n == 100 {
		e.then()
	}
	return copy(into, voice+"\n"), nil
}
