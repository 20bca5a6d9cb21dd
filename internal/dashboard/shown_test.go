package dashboard

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"nothing secret, in its own order", `{"v":1,"job_id":"j1","n":[1,"a"]}`, `{"v":1,"job_id":"j1","n":[1,"a"]}`},
		{"an emoji that can't be seen", `{"prompt":"👩‍🚀 <b>"}`, `{"prompt":"👩‍🚀 <b>"}`},
		{"signed URL", `{"image_file_path":"https://b.s3.amazonaws.com/a.png?X-Amz-Signature=canary&X-Amz-Expires=60"}`, `{"image_file_path":"https://b.s3.amazonaws.com/a.png?[redacted]"}`},
		{"its question mark escaped", `{"u":"https://host/a.png\u003fsig=canary"}`, `{"u":"https://host/a.png?[redacted]"}`},
		{"its slashes escaped", `{"u":"https:\/\/me:canary@host\/a.png"}`, `{"u":"https://host/a.png"}`},
		{"in a list", `["https://host/a?canary",7]`, `["https://host/a?[redacted]",7]`},
		{"in a name", `{"https://host/a?canary":1}`, `{"https://host/a?[redacted]":1}`},
		{"URL within a text", `{"error":"get \"https://host/a?canary\": EOF"}`, `{"error":"get \"https://host/a?[redacted]\": EOF"}`},
		{"by its name", `{"api_key":"canary","Password": "canary","tokens":3,"x":""}`, `{"api_key":"[redacted]","Password": "[redacted]","tokens":3,"x":""}`},
		{"by its look", `{"note":"mhk_live_canary and Bearer canary"}`, `{"note":"[redacted] and [redacted]"}`},
		{"no JSON", "get https://host/a?canary now", "get https://host/a?[redacted] now"},
		{"no text", "\xff\xfe\x00", "3 bytes that are no text"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		if got := shown("", []byte(tt.text)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := shown("", []byte(strings.Repeat("ä", longest))); len(got) > longest+len("…") || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%d bytes are shown of a long one, ending in %q", len(got), got[len(got)-6:])
	}
}

// FuzzShown: whatever a stranger has enqueued, JSON stays JSON, and no query of a URL is shown.
func FuzzShown(f *testing.F) {
	f.Add("https://host/a?", "canary", `\"`)
	f.Add("x", "\"\\", "{")
	f.Fuzz(func(t *testing.T, before, query, name string) {
		text, err := json.Marshal(map[string]any{name: []string{before, "https://host/a?CANARY" + query}, query: before})
		if err != nil {
			t.Skip()
		}
		got := shown("", text)
		if strings.Contains(got, "a?CANARY") {
			t.Errorf("%s shows %s", text, got)
		}
		if len(text) < longest && !json.Valid([]byte(got)) {
			t.Errorf("%s becomes %s", text, got)
		}
	})
}
