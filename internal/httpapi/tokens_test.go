package httpapi

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTokensChange: a token that is added or removed counts without a restart; a broken file changes nothing.
func TestTokensChange(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.json")
	if err := (Caller{Name: "one", Tenant: "acme", Scopes: []Scope{Read}}).Add(path, "first"); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	tokens, err := OpenTokens(path, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	knows := func(token string) bool {
		tokens.looked = time.Time{} // a second is over
		_, known := tokens.Lookup(token)
		return known
	}
	if !knows("first") || knows("") || knows("second") {
		t.Error("want the first token alone to be known")
	}
	if err := (Caller{Name: "two", Tenant: "acme"}).Add(path, "second"); err != nil || !knows("second") {
		t.Errorf("a token that was added: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"v":1,"tokens":[{}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if !knows("first") || !strings.Contains(said.String(), "name") {
		t.Errorf("a broken file has taken the tokens away, or nobody is told: %s", said.String())
	}
	if err := os.WriteFile(path, []byte(`{"v":1,"tokens":[]}`), 0o600); err != nil || knows("first") {
		t.Errorf("a token that was removed is known (%v)", err)
	}
}

func TestTokenFiles(t *testing.T) {
	t.Parallel()
	hash := HashToken("x")
	for text, want := range map[string]string{
		`{`:                                 "unexpected EOF",
		`{"v":2}`:                           "v: want 1",
		`{"v":1,"token":[]}`:                "unknown field",
		`{"v":1,"prices":{"face-swap":-1}}`: "prices: face-swap",
		`{"v":1,"tokens":[{"name":"a b","sha256":"` + hash + `","tenant":"x"}]}`:                                                 `name "a b"`,
		`{"v":1,"tokens":[{"name":"a","sha256":"abc","tenant":"x"}]}`:                                                            "64 hexadecimal",
		`{"v":1,"tokens":[{"name":"a","sha256":"` + hash + `","tenant":""}]}`:                                                    "tenant",
		`{"v":1,"tokens":[{"name":"a","sha256":"` + hash + `","tenant":"x","scopes":["write"]}]}`:                                `scope "write"`,
		`{"v":1,"tokens":[{"name":"a","sha256":"` + hash + `","tenant":"x","credits_per_day":-1}]}`:                              "credits_per_day",
		`{"v":1,"tokens":[{"name":"a","sha256":"` + hash + `","tenant":"x"},{"name":"b","sha256":"` + hash + `","tenant":"x"}]}`: "choose another name",
	} {
		path := filepath.Join(t.TempDir(), "tokens.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadTokenFile(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q and the file's name", text, err, want)
		}
	}
}
