package storage

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// A key that is taken stays below the root, and is nobody's sidecar or temporary file.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"j1/1.mp4", "../x", "/x", "", "a//b", `a\b`, "a/./b", "a/.b", "a\x00", "ä/ö"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkKey(key) != nil {
			return
		}
		if !filepath.IsLocal(key) || filepath.ToSlash(filepath.Clean(key)) != key || strings.Contains("/"+key, "/.") {
			t.Errorf("taken: %q", key)
		}
		if side := sidecarName(key, 1); checkKey(side) == nil || !isSidecarOf(filepath.Base(side), filepath.Base(key)) {
			t.Errorf("sidecar %q of %q", side, key)
		}
	})
}

// A header carries what was encoded, and what was encoded comes back.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{"cm1", "100%", "%41", " a  b ", "Köln", "a\r\nX-Evil: 1", "=?UTF-8?B?eA==?=", "+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		encoded := encodeMetadata(value)
		for _, c := range []byte(encoded) {
			if c <= ' ' || c >= 0x7f {
				t.Errorf("%q has %q", encoded, c)
			}
		}
		if got := decodeMetadata(encoded); got != value && utf8.ValidString(value) {
			t.Errorf("got %q, want %q", got, value)
		}
	})
}
