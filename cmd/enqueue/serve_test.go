package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-290c2414/hourglass/internal/httpapi"
)

// TestServeRefuses: nobody serves without tokens by mistake.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	_, url := start(t)
	broken := write(t, `{"v":1,"tokens":[{"name":"a"}]}`)
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no tokens", "say --no-auth", nil},
		{"no such file", "no such file", []string{"--tokens-file", broken + "x"}},
		{"a broken file", "sha256", []string{"--tokens-file", broken}},
		{"both", "give one of them", []string{"--no-auth", "--tokens-file", broken}},
		{"no tokens for everybody", "only on a loopback address", []string{"--no-auth", "--serve-addr", "0.0.0.0:0"}},
		{"no address", "HOURGLASS_SERVE_ADDR", []string{"--no-auth", "--serve-addr", "nowhere"}},
		{"an argument", "unexpected argument", []string{"--no-auth", "now"}},
	} {
		_, said, code := enqueue(t, url, "", append([]string{"serve"}, tt.args...)...)
		if code != exitUsage || !strings.Contains(said, tt.want) {
			t.Errorf("%s: exit %d, %s", tt.name, code, said)
		}
	}
}

// TestToken: the token is printed once, and the file knows its hash alone.
func TestToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.json")
	token := func(args ...string) (string, int) {
		out, said, code := enqueue(t, nowhere, "", append([]string{"token", "--tokens-file", path}, args...)...)
		return strings.TrimSpace(out) + strings.TrimSpace(said), code
	}
	one, said, code := enqueue(t, nowhere, "", "token", "--tokens-file", path, "--name", "shop", "--tenant", "acme", "--scopes", "submit,read", "--credits-per-day", "500")
	one = strings.TrimSpace(one)
	if code != 0 || len(one) < 50 || strings.Contains(said, one) {
		t.Fatalf("exit %d: %q, %s", code, one, said)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), one) {
		t.Errorf("the file holds the token, or can't be read: %v", err)
	}
	var f httpapi.TokenFile
	if err := json.Unmarshal(text, &f); err != nil || len(f.Tokens) != 1 || f.Tokens[0].SHA256 != httpapi.HashToken(one) || len(f.Tokens[0].Scopes) != 2 || *f.Tokens[0].CreditsPerDay != 500 {
		t.Errorf("got %+v, %v", f, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil { //nolint:gosec // so that a server of another user may read it
		t.Fatal(err)
	}
	if said, code := token("--name", "shop", "--tenant", "acme"); code != exitUsage || !strings.Contains(said, "choose another name") {
		t.Errorf("the name again: exit %d, %s", code, said)
	}
	if said, code := token("--name", "x", "--tenant", "acme", "--scopes", "write"); code != exitUsage || !strings.Contains(said, "write") {
		t.Errorf("an unknown scope: exit %d, %s", code, said)
	}
	if said, code := token("--name", "other", "--tenant", "*"); code != 0 {
		t.Errorf("another: exit %d, %s", code, said)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has other rights now: %v, %v", info.Mode(), err)
	}
}
