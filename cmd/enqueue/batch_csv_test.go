package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dry runs a batch dry, by standard input.
func dry(t *testing.T, text string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return enqueue(t, nowhere, text, append([]string{"batch", "-", "--dry-run"}, args...)...)
}

func TestCSV(t *testing.T) {
	t.Parallel()
	t2v := []string{"--csv", "--operation", "text-to-video"}
	tests := []struct {
		name, text string
		args       []string
		want       []string // lines without their operation
	}{
		{"each cell is what the operation wants there", "id,style.prompt,end_seconds,audio\na,12,5,TRUE\nb,true,5.5,false\n", t2v, []string{
			`{"id":"a","body":{"audio":true,"end_seconds":5,"style":{"prompt":"12"}}}`, `{"id":"b","body":{"audio":false,"end_seconds":5.5,"style":{"prompt":"true"}}}`,
		}},
		{"an empty cell is not given", "id,style.prompt,end_seconds,audio,options.tenant\na,x,5,,\n", t2v, []string{`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x"}}}`}},
		{"an empty row is none", "id,style.prompt,end_seconds\n,,\n\na,x,5\n", t2v, []string{`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x"}}}`}},
		{"a mark, line breaks of Windows and in quotes", "\ufeffid,style.prompt,end_seconds\r\na,\"two\r\n\"\"lines\"\"\",5\r\n", t2v, []string{`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"two\n\"lines\""}}}`}},
		{"options", "id,style.prompt,end_seconds,options.tenant,options.metadata.order,options.keep_remote,options.notify.url,options.notify.task.queue,options.notify.task.type,options.give_up\na,x,5,acme,4711,true,https://example.com/hook,q,ready,36h\n", t2v, []string{
			`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x"}},"options":{"tenant":"acme","give_up":"36h0m0s","metadata":{"order":"4711"},"keep_remote":true,"notify":{"url":"https://example.com/hook","task":{"queue":"q","type":"ready"}}}}`,
		}},
		{"names of others", "Nr,Prompt text,Notes\na,x,5\n", append(t2v, "--map", "Nr=id", "--map", "Prompt text=style.prompt", "--map", "Notes=", "--set", "end_seconds=5"), []string{`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x"}}}`}},
		{"another delimiter", "id;style.prompt;end_seconds\na;x,y;5\n", append(t2v, "--delimiter", ";"), []string{`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x,y"}}}`}},
		{"tabs", "id\tstyle.prompt\tend_seconds\na\tx\t5\n", append(t2v, "--delimiter", "tab"), []string{`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x"}}}`}},
		{"a default is for those that have none", "id,style.prompt,end_seconds\na,x,\nb,,7\n", append(t2v, "--set", "end_seconds=5", "--set", "style.prompt=y, z"), []string{
			`{"id":"a","body":{"end_seconds":5,"style":{"prompt":"x"}}}`, `{"id":"b","body":{"end_seconds":7,"style":{"prompt":"y, z"}}}`,
		}},
		{"ids by the number of the job", "style.prompt,end_seconds\n\"x\ny\",5\nz,5\n", append(t2v, "--id-prefix", "june"), []string{
			`{"id":"june-1","body":{"end_seconds":5,"style":{"prompt":"x\ny"}}}`, `{"id":"june-2","body":{"end_seconds":5,"style":{"prompt":"z"}}}`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, said, code := dry(t, tt.text, tt.args...)
			if code != 0 {
				t.Fatalf("exit %d: %s", code, said)
			}
			want := strings.ReplaceAll(strings.Join(tt.want, "\n"), `,"body"`, `,"operation":"text-to-video","body"`) + "\n"
			if diff := cmp.Diff(want, out); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCSVOfManyOperations: a column is for those operations that have its field.
func TestCSVOfManyOperations(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "jobs.CSV")
	text := "operation,style.prompt,end_seconds,image_count\ntext-to-video,x,5,\nai-image-generator,7,,3\n,y,5,\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, said, code := enqueue(t, nowhere, "", "batch", name, "--dry-run", "--operation", "text-to-video")
	if code != 0 || !strings.Contains(out, `"operation":"ai-image-generator","body":{"image_count":3,"style":{"prompt":"7"}}`) || !strings.Contains(said, "       2 text-to-video\n") {
		t.Errorf("exit %d, %s%s", code, out, said)
	}
}

func TestCSVRefuses(t *testing.T) {
	t.Parallel()
	t2v := []string{"--csv", "--operation", "text-to-video"}
	tests := []struct {
		name, text string
		args       []string
		says       string
	}{
		{"a column that leads nowhere", "Prompt,end_seconds\nx,5\n", t2v, "line 1: column Prompt: leads to no field of text-to-video: name one with --map 'Prompt=style.prompt', or leave the column out with --map 'Prompt='"},
		{"a column without a name", "style.prompt,\nx,5\n", t2v, "line 1: column 2: has no name; give it one"},
		{"a field that no operation has", "operation,stile.prompt\ntext-to-video,x\n", t2v[:1], "line 1: column stile.prompt: leads to no field of any operation"},
		{"an option that is none", "options.tennant\nx\n", t2v, "line 1: column options.tennant: options.tennant is no option: want options.overwrite"},
		{"two columns for one field", "style.prompt,p\nx,y\n", append(t2v, "--map", "p=style.prompt"), "line 1: column p: leads to style.prompt, as column style.prompt does"},
		{"a field of another operation", "operation,style.prompt,end_seconds\nface-swap,x,5\n", t2v[:1], "line 2: column style.prompt: face-swap has no such field: leave the cell empty"},
		{"a number that is none", "style.prompt,end_seconds\n\"a\nb\",5\nx,soon\n", t2v, "line 4: column end_seconds: must be a number"},
		{"a word for true", "style.prompt,end_seconds,audio\nx,5,yes\n", t2v, "line 2: column audio: must be true or false"},
		{"too much", "P,end_seconds\nx,99\n", append(t2v, "--map", "P=style.prompt"), "line 2: column end_seconds: must be at most 60"},
		{"what is missing", "P,end_seconds\n,5\n", append(t2v, "--map", "P=style.prompt"), "line 2: column P (style): required"},
		{"what is missing, and in no column", "end_seconds\n5\n", t2v, "line 2: style: required"},
		{"a bad id", "id,style.prompt,end_seconds\na/b,x,5\n", t2v, `line 2: column id: job id "a/b": want`},
		{"an option of a wrong type", "style.prompt,end_seconds,options.overwrite\nx,5,yes\n", t2v, "line 2: options.overwrite: must be true or false"},
		{"a row that is too short", "style.prompt,end_seconds\nx\n", t2v, "line 2: has 1 cell, but the header has 2"},
		{"an open quote", "style.prompt,end_seconds\n\"x,5\ny,5\n", t2v, "line 2: not CSV: "},
		{"an endless row", "style.prompt,end_seconds\n\"" + strings.Repeat("x\n", longestLine), t2v, "line 2: longer than 1048576 bytes; the lines after it were not read"},
		{"text of another encoding", "style.prompt,end_seconds\ncaf\xe9,5\n", t2v, "line 2: column style.prompt: not valid UTF-8"},
		{"a row without its id", "id,style.prompt,end_seconds\na,x,5\n,y,5\n", t2v, "line 3: column id: is empty, and the row would be a new job each time"},
		{"a column above another", "id,style.prompt,style,end_seconds\na,wanted,\"{\"\"prompt\"\":\"\"other\"\"}\",5\n", t2v, "column style: leads to style, into or around where column style.prompt leads"},
		{"one id, two requests", "id,style.prompt,end_seconds\na,x,5\na,y,5\n", t2v, "line 3: id a: stands in line 2 with a different request"},
		{"no rows", "style.prompt,end_seconds\n", t2v, "the batch is empty"},
		{"no operation", "style.prompt,end_seconds\nx,5\n", t2v[:1], `line 2: operation: unknown operation ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if out, said, code := dry(t, tt.text, tt.args...); code != exitRefused || out != "" || !strings.Contains(said, tt.says) {
				t.Errorf("exit %d, %q, %s\nwant %q", code, out, said, tt.says)
			}
		})
	}
}

func TestBatchFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"--map", "a=id"}, "--map and --delimiter are for CSV"},
		{[]string{"--csv", "--map", "a"}, `--map "a": want COLUMN=PATH`},
		{[]string{"--csv", "--map", "b=id"}, "--map 'b=id': the file has no such column, but id, style.prompt"},
		{[]string{"--csv", "--delimiter", "ab"}, "want one character, or tab"},
		{[]string{"--operation", "text-to-vidoe"}, "did you mean text-to-video?"},
		{[]string{"--id-prefix", "a/b"}, "--id-prefix: job id"},
		{[]string{"--set", "x"}, "want PATH=VALUE"},
		{[]string{"--concurrency", "0"}, "--concurrency 0: want 1 to 10000"},
	} {
		if out, said, code := dry(t, "id,style.prompt\na,x\n", tt.args...); code != exitUsage || out != "" || !strings.Contains(said, tt.says) {
			t.Errorf("%v: exit %d, %s", tt.args, code, said)
		}
	}
}

// TestBatchDefaults: they are for lines of JSON as well.
func TestBatchDefaults(t *testing.T) {
	t.Parallel()
	out, said, code := dry(t, `{"id":"a","body":{"style":{"prompt":"x"}}}`+"\n"+`{"id":"b"}`+"\n"+`{"id":"c","operation":"ai-image-generator","body":{"end_seconds":7}}`,
		"--operation", "text-to-video", "--set", "end_seconds=5", "--set", "style.prompt=y", "--set", "image_count=1", "--json")
	const want = `{"id":"a","operation":"text-to-video","body":{"end_seconds":5,"image_count":1,"style":{"prompt":"x"}}}
{"id":"b","operation":"text-to-video","body":{"end_seconds":5,"image_count":1,"style":{"prompt":"y"}}}
{"id":"c","operation":"ai-image-generator","body":{"end_seconds":7,"image_count":1,"style":{"prompt":"y"}}}
`
	if diff := cmp.Diff(want, out); code != 0 || diff != "" {
		t.Errorf("exit %d, %s\nlines (-want +got):\n%s", code, said, diff)
	}
	if want := `{"jobs":3,"operations":{"ai-image-generator":1,"text-to-video":2},"refused":0}`; !strings.Contains(said, want) {
		t.Errorf("got %s\nwant %s in it", said, want)
	}
}

// TestBatchReport: problems are told by line and field, and not without end.
func TestBatchReport(t *testing.T) {
	t.Parallel()
	bad := strings.Repeat(`{"operation":"text-to-video","body":{"end_seconds":99}}`+"\n", mostProblems+10)
	_, said, code := dry(t, clip+"\n"+bad)
	if code != exitRefused || strings.Count(said, "must be at most 60") != mostProblems || !strings.Contains(said, "and 10 more lines\n1 line good, 60 refused\n       1 text-to-video\n") {
		t.Errorf("exit %d, %s", code, said)
	}
	_, said, code = dry(t, clip+"\n"+bad, "--json")
	const first = `{"line":2,"path":"body.end_seconds","message":"must be at most 60"}
{"line":2,"path":"body.style","message":"required"}
{"line":3,`
	if code != exitRefused || !strings.HasPrefix(said, first) || !strings.Contains(said, `{"more":10,"of":"lines"}`) {
		t.Errorf("as JSON: exit %d, %s", code, said)
	}
	_, said, _ = dry(t, "id,style.prompt,end_seconds\na,x,soon\n", "--json", "--csv", "--operation", "text-to-video")
	if want := `{"line":2,"column":"end_seconds","path":"body.end_seconds","message":"must be a number"}`; !strings.HasPrefix(said, want) {
		t.Errorf("got %s\nwant %s", said, want)
	}
}

// FuzzCSV: whatever strangers send, what is accepted is printed so that it is read as the same jobs.
func FuzzCSV(f *testing.F) {
	f.Add("id,operation,style.prompt,end_seconds,options.tenant\na,text-to-video,\"x\ny\",5,acme\n")
	f.Add("\ufeffa,b\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		b, entries := readBatch(t, form{csv: true, delimiter: ',', operation: "text-to-video"}, text)
		if b.bad > 0 {
			return
		}
		var lines strings.Builder
		if err := b.print(&lines); err != nil {
			t.Fatal(err)
		}
		again, became := readBatch(t, form{}, lines.String())
		if again.bad > 0 || fmt.Sprint(len(became)) != fmt.Sprint(len(entries)) {
			t.Fatalf("%q: read again as %+v", text, again.problems)
		}
	})
}
