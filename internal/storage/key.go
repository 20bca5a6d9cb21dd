package storage

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxKey     = 1024 // bytes, prefix included: the limit of S3
	maxSegment = 200  // bytes; file systems take 255, and the name of a sidecar is 22 longer
)

// checkKey refuses what could leave the root of a store, or means different things to
// different stores. Both stores refuse the same keys, so that one can replace the other.
func checkKey(key string) error {
	if problem := keyProblem(key); problem != "" {
		return fmt.Errorf("key %q: %s: %w", key, problem, fs.ErrInvalid)
	}
	return nil
}

func keyProblem(key string) string {
	switch {
	case key == "":
		return "is empty"
	case len(key) > maxKey:
		return "is longer than 1024 bytes"
	case !utf8.ValidString(key):
		return "is not UTF-8"
	case strings.ContainsFunc(key, unicode.IsControl), strings.Contains(key, `\`):
		return "has a control character or a backslash"
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return "has an empty segment"
		case segment[0] == '.':
			return "has a segment that begins with a dot"
		case len(segment) > maxSegment:
			return "has a segment longer than 200 bytes"
		}
	}
	if !filepath.IsLocal(filepath.FromSlash(key)) { // "NUL" and "C:x" on Windows
		return "is not a local path"
	}
	return ""
}
