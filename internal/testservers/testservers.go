// Package testservers starts real servers for tests: a Redis and an S3 server, each a
// process of its own on a free port of 127.0.0.1, gone when the test ends.
//
// The programs are looked for in PATH and then in .tools/ at the root of the repository,
// where "make tools" puts them. Without them a test is skipped, but where the environment
// says CI=true it fails: a suite that skips itself must not look green.
package testservers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the path of a server, for tests that start one in a way of their own.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if root := repository(); root != "" {
		if path, err := exec.LookPath(filepath.Join(root, ".tools", name)); err == nil {
			return path
		}
	}
	const missing = "%s is neither in PATH nor in .tools/: run \"make tools\" to install it"
	if os.Getenv("CI") == "true" {
		t.Fatalf(missing, name)
	}
	t.Skipf(missing, name)
	return ""
}

// repository is the folder that has go.mod, above the package under test.
func repository() string {
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
