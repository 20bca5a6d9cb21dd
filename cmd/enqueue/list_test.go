package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

func TestList(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	if out, said, code := enqueue(t, url, "", "list"); code != 0 || out != "" || said != "no such jobs\n" {
		t.Errorf("of nothing: exit %d, %q, %q", code, out, said)
	}
	if _, said, code := enqueue(t, url, clip+"\n"+batchOf(2), "batch", "-"); code != 0 {
		t.Fatal(said)
	}
	out, said, code := enqueue(t, url, "", "list", "--limit", "2")
	rows := strings.Split(out, "\n")
	if code != 0 || len(rows) != 4 || strings.Join(strings.Fields(rows[0]), " ") != "ID OPERATION STATE FOR CREDITS NOTE" || !strings.Contains(rows[1], "text-to-video  pending") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if said != "there are more: --limit 4 shows twice as many, --limit 0 all\n" {
		t.Errorf("it says %q", said)
	}
	out, said, code = enqueue(t, url, "", "list", "--json", "--state", "pending,failed", "--operation", "text-to-video", "--since", "1h", "--limit", "0")
	if code != 0 || said != "" || strings.Count(out, "\n") != 3 {
		t.Errorf("as JSON: exit %d, %s%s", code, out, said)
	}
	for line := range strings.Lines(out) {
		var status tasks.Status
		if err := json.Unmarshal([]byte(line), &status); err != nil || status.State != tasks.Pending {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, none := range [][]string{{"--state", "done"}, {"--operation", "lip-sync"}, {"--held"}, {"--since", "1ns"}} {
		if out, _, code := enqueue(t, url, "", append([]string{"list"}, none...)...); code != 0 || out != "" {
			t.Errorf("%v: exit %d, %s", none, code, out)
		}
	}
}

func TestListUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"job-1"}, 2, `unexpected argument "job-1"`},
		{[]string{"--state", "dne"}, 2, "want some of pending,creating,unknown,"},
		{[]string{"--operation", "text-to-vidoe"}, 2, "did you mean text-to-video?"},
		{[]string{"--since", "yesterday"}, 2, "yesterday"},
		{[]string{"--since", "-1h"}, 2, "--since: must not be negative"},
		{[]string{"--limit", "-1"}, 2, "--limit: must not be negative"},
		{nil, 75, "REDIS_URL"},
	} {
		if out, said, code := enqueue(t, nowhere, "", append([]string{"list"}, tt.args...)...); code != tt.code || out != "" || !strings.Contains(said, tt.says) {
			t.Errorf("list %v: exit %d, want %d; %s", tt.args, code, tt.code, said)
		}
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	reason, kept := "403: not yours", tasks.RemoteKept
	tests := []struct {
		name   string
		status tasks.Status
		want   string
	}{
		{"nothing to say", tasks.Status{}, ""},
		{"held", tasks.Status{Hold: &tasks.Hold{Message: "the key is rejected"}, State: tasks.Rendering}, "held: the key is rejected"},
		{"failed", tasks.Status{Error: &tasks.Error{Code: "no_source_face", Message: "no face\n\tin sight"}}, "no_source_face: no face in sight"},
		{"kept", tasks.Status{Remote: &kept, RemoteReason: &reason, Outputs: make([]tasks.Output, 1)}, "remote kept: 403: not yours"},
		{"rendering", tasks.Status{State: tasks.Rendering, Polls: 3}, "poll 3"},
		{"stored", tasks.Status{Outputs: make([]tasks.Output, 4)}, "4 files"},
		{"long", tasks.Status{Error: &tasks.Error{Code: "x", Message: strings.Repeat("ü", 200)}}, "x: " + strings.Repeat("ü", 76) + "…"},
	}
	for _, tt := range tests {
		if got := note(&tasks.Job{Status: tt.status}); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Minute: "0s", 75 * time.Second: "1m15s", 5*time.Hour + 30*time.Second: "5h0m", 30 * time.Hour: "30h0m", 72 * time.Hour: "3d",
	} {
		if got := since(time.Now().Add(-d - 100*time.Millisecond)); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
