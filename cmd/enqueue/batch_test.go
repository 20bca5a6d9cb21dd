package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/tasks"
)

// atOnce is few: the tests need several blocks.
const atOnce = 500

// submissionOf is what hands a batch in.
func submissionOf(t testing.TB, text string, client *tasks.Client, stdout, stderr io.Writer) (*submission, []entry) {
	t.Helper()
	b, entries := readBatch(t, form{}, text)
	b.say.stderr = stderr
	return &submission{batch: b, client: client, atOnce: atOnce, stdout: stdout, fates: make([]fate, len(entries))}, entries
}

// batchOf returns n lines with ids of their own.
func batchOf(n int) string {
	var lines strings.Builder
	for i := range n {
		lines.WriteString(strings.Replace(clip, `"clip"`, fmt.Sprintf(`"clip-%d"`, i), 1) + "\n")
	}
	return lines.String()
}

// checkEnqueued holds how many jobs there are, with a record and a task each.
func checkEnqueued(t *testing.T, m *miniredis.Miniredis, want int) {
	t.Helper()
	records := countRecords(m)
	pending, _ := m.List("asynq:{hourglass-create}:pending") // no list is an empty one
	if records != want || len(pending) != want {
		t.Errorf("%d records and %d tasks, want %d of each", records, len(pending), want)
	}
}

func countRecords(m *miniredis.Miniredis) (n int) {
	for _, key := range m.Keys() {
		if strings.HasSuffix(key, ":record") {
			n++
		}
	}
	return n
}

func TestBatch(t *testing.T) {
	t.Parallel()
	m, url := start(t)
	const jobs = 2*atOnce + 7
	text := batchOf(jobs)
	out, said, code := enqueue(t, url, "", "batch", write(t, text))
	if code != 0 || said != fmt.Sprintf("%d jobs accepted\n", jobs) {
		t.Fatalf("exit %d, %s", code, said)
	}
	for i, id := range strings.Fields(out) {
		if want := fmt.Sprintf("clip-%d", i); id != want {
			t.Fatalf("id %d: got %s, want %s: the order of the lines", i, id, want)
		}
	}
	checkEnqueued(t, m, jobs)
	again, said, code := enqueue(t, url, text, "batch", "-")
	if code != 0 || again != out || said != fmt.Sprintf("%d jobs accepted, %d of them before\n", jobs, jobs) {
		t.Errorf("the same again, by standard input: exit %d, %s", code, said)
	}
	checkEnqueued(t, m, jobs)
}

func TestBatchAsJSON(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	out, said, code := enqueue(t, url, clip+"\n"+voice, "batch", "--json", "-")
	var first tasks.Status
	if code != 0 || strings.Count(out, "\n") != 2 || json.Unmarshal([]byte(strings.Split(out, "\n")[0]), &first) != nil || first.ID != "clip" || first.State != tasks.Pending {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
}

// TestBatchIsAllOrNothing: one bad line, and none is enqueued.
func TestBatchIsAllOrNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		code       int
		says       []string
	}{
		{"a malformed line", batchOf(3) + "{\n", 4, []string{"line 4: want one JSON object", "1 line refused; nothing was enqueued"}},
		{"a request that the API refuses", batchOf(3) + `{"operation":"text-to-video","body":{"end_seconds":99}}`, 4, []string{"line 4: text-to-video: end_seconds: must be at most 60; style: required"}},
		{"ids that are taken", clip + "\n" + batchOf(3) + strings.Replace(clip, `"clip"`, `"taken"`, 1), 5, []string{"line 5: the job id exists with a different request: taken", "1 line; nothing was enqueued", "give the request an id of its own"}},
		{"nothing", "\n\n", 4, []string{"the batch is empty"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, url := start(t)
			if _, said, code := enqueue(t, url, "", "submit", "ai-voice-generator", "--id", "taken", "--body", `{"style":{"prompt":"x","voice_name":"Morgan Freeman"}}`); code != 0 {
				t.Fatal(said)
			}
			out, said, code := enqueue(t, url, "", "batch", write(t, tt.text))
			if code != tt.code || out != "" {
				t.Errorf("exit %d, want %d; it printed %q", code, tt.code, out)
			}
			for _, want := range tt.says {
				if !strings.Contains(said, want) {
					t.Errorf("got %s\nwant %q in it", said, want)
				}
			}
			checkEnqueued(t, m, 1)
		})
	}
}

func TestBatchUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"batch"}, 2, "want one FILE"},
		{[]string{"batch", "a", "b"}, 2, "got 2 arguments"},
		{[]string{"batch", "/nowhere/jobs.jsonl"}, 2, "/nowhere/jobs.jsonl"},
		{[]string{"batch", t.TempDir()}, 1, "is a directory"},
		{[]string{"batch", write(t, clip)}, 75, "REDIS_URL"},
	} {
		if out, said, code := enqueue(t, nowhere, "", tt.args...); code != tt.code || out != "" || !strings.Contains(said, tt.says) {
			t.Errorf("%v: exit %d, want %d; %s", tt.args, code, tt.code, said)
		}
	}
}

// TestDryRun needs no Redis, and prints what batch can read.
func TestDryRun(t *testing.T) {
	t.Parallel()
	line, said, code := enqueue(t, nowhere, "", "submit", "text-to-video", "--set", "end_seconds=5.0", "--set", "style.prompt=a tin robot", "--id", "clip", "--dry-run")
	if code != 0 || said != "" || line != clip+"\n" {
		t.Errorf("submit: exit %d, %s%s", code, line, said)
	}
	_, said, code = enqueue(t, nowhere, "", "submit", "text-to-video", "--dry-run")
	if code != 4 || !strings.Contains(said, "end_seconds: required") {
		t.Errorf("submit of what is refused: exit %d, %s", code, said)
	}
	lines, said, code := enqueue(t, nowhere, clip+"\n"+voice, "batch", "-", "--dry-run")
	if code != 0 || said != "2 lines good, 0 refused\n       1 ai-voice-generator\n       1 text-to-video\n" || !strings.HasPrefix(lines, clip+"\n") || strings.Count(lines, "\n") != 2 || !strings.Contains(lines, "<hello>") {
		t.Fatalf("batch: exit %d, %s%s", code, lines, said)
	}
	m, url := start(t)
	for range 2 {
		if _, said, code := enqueue(t, url, lines, "batch", "-"); code != 0 {
			t.Errorf("the lines of a dry run: exit %d, %s", code, said)
		}
	}
	checkEnqueued(t, m, 2) // the ids that the dry run has made make it safe to repeat
}

// cut fails what is sent to Redis from the n-th block of records on.
type cut struct {
	left atomic.Int64
}

var errCut = &net.OpError{Op: "write", Err: errors.New("connection reset by peer")}

func (c *cut) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *cut) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (c *cut) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error {
		if all[0].Name() != "multi" || c.left.Add(-1) >= 0 {
			return next(ctx, all)
		}
		for _, cmd := range all {
			cmd.SetErr(errCut)
		}
		return errCut
	}
}

// TestBatchBrokenOff: what was accepted is printed, and what was not is said, so that no line is
// lost and none is bought twice.
func TestBatchBrokenOff(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"all lines have ids": "", "one has none": voice + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, url := start(t)
			rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1})
			defer func() { _ = rdb.Close() }()
			// The first one makes Redis know the scripts: after it a job is one call to its record.
			client := tasks.NewClient(rdb)
			first, _ := submissionOf(t, strings.Replace(clip, `"clip"`, `"first"`, 1), client, io.Discard, io.Discard)
			if err := first.submit(t.Context()); err != nil {
				t.Fatal(err)
			}
			const blocks = inFlight + 1
			const works = blocks * atOnce / inFlight
			c := &cut{}
			c.left.Store(blocks)
			rdb.AddHook(c)
			text := batchOf(3*atOnce) + last
			var out, said bytes.Buffer
			s, entries := submissionOf(t, text, client, &out, &said)
			err := s.submit(t.Context())
			if !errors.Is(unreachable(err), errUnreachable) {
				t.Errorf("got %v, want that Redis can't be reached", err)
			}
			accepted := strings.Fields(out.String())
			if after := -c.left.Load(); after > 2*inFlight {
				t.Errorf("it went on after the trouble, with %d blocks", after)
			}
			if len(accepted) != works || !strings.HasPrefix(said.String(), plural(works, "job")+" accepted\n") {
				t.Errorf("%d accepted, want %d; %s", len(accepted), works, &said)
			}
			_, hint, _ := strings.Cut(said.String(), "\n")
			rest := text
			if last != "" {
				_, rest, _ = strings.Cut(hint, "\n")
				b, left := readBatch(t, form{}, rest)
				if len(left) != len(entries)-len(accepted) || slices.ContainsFunc(left, func(e entry) bool { return !e.Named }) {
					t.Fatalf("the lines that are left: %+v", b.problems)
				}
			} else if want := plural(len(entries)-works, "line") + " left: run the same batch again, which is safe"; !strings.Contains(hint, want) {
				t.Errorf("it says %s", hint)
			}
			if _, said, code := enqueue(t, url, rest, "batch", "-"); code != 0 {
				t.Fatalf("the rest: exit %d, %s", code, said)
			}
			checkEnqueued(t, m, len(entries)+1)
		})
	}
}

// TestBatchInterrupted: Ctrl-C ends it at once, and the same again submits what is missing, and nothing twice.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	m, url := start(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer func() { _ = rdb.Close() }()
	pipelined, err := records.Pipelined(rdb) // it heeds no context
	if err != nil {
		t.Fatal(err)
	}
	const jobs = 10 * atOnce
	text := batchOf(jobs)
	ctx, cancel := context.WithCancel(t.Context())
	out := &printed{then: func(lines int) {
		if lines == atOnce {
			cancel() // Ctrl-C, when the first ids are printed
		}
	}}
	var said bytes.Buffer
	s, _ := submissionOf(t, text, tasks.NewClient(pipelined), out, &said)
	err = s.submit(ctx)
	if code := exitCode(err, &said); code != 130 || out.lines != atOnce || !strings.Contains(said.String(), fmt.Sprintf("%d lines left: run the same batch again", jobs-atOnce)) {
		t.Errorf("exit %d after %d ids, %s", code, out.lines, &said)
	}
	if n := countRecords(m); n < atOnce || n > 3*atOnce {
		t.Errorf("%d records after the interrupt: want those of the blocks that were out, and no more", n)
	}
	if again, said, code := enqueue(t, url, text, "batch", "-"); code != 0 || strings.Count(again, "\n") != jobs {
		t.Errorf("again: exit %d, %s", code, said)
	}
	checkEnqueued(t, m, jobs)
}

// printed counts lines.
type printed struct {
	lines int
	then  func(lines int)
}

func (p *printed) Write(text []byte) (int, error) {
	p.lines += bytes.Count(text, []byte("\n"))
	p.then(p.lines)
	return len(text), nil
}

// full is a disk without space after some lines.
type full struct{ left int }

func (f *full) Write(text []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(text), nil
}

// TestBatchThatCantPrint: an id that can't be printed is not lost.
func TestBatchThatCantPrint(t *testing.T) {
	t.Parallel()
	m, _ := start(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	defer func() { _ = rdb.Close() }()
	var said bytes.Buffer
	s, _ := submissionOf(t, strings.Repeat(voice+"\n", 2*atOnce), tasks.NewClient(rdb), &full{left: 1}, &said)
	err := s.submit(t.Context())
	if code := exitCode(err, &said); code != 1 || !strings.HasPrefix(said.String(), "125 jobs accepted\n875 lines left: submit these") {
		t.Fatalf("exit %d, %.300s", code, &said)
	}
	_, rest, _ := strings.Cut(said.String(), "safe:\n")
	rest = rest[:strings.Index(rest, "enqueue: ")]
	if _, said, code := enqueue(t, "redis://"+m.Addr(), rest, "batch", "-"); code != 0 {
		t.Fatalf("the rest: exit %d, %s", code, said)
	}
	checkEnqueued(t, m, 2*atOnce)
}

// TestBatchOnAStalledRedis: it ends, and says where the trouble is.
func TestBatchOnAStalledRedis(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errSlow) // as the time limit does
	_, err := block{ctx: ctx, done: make(chan []answer)}.wait()
	if code := codeOf(err); code != 75 {
		t.Errorf("exit %d: %v", code, err)
	}
}
