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
	for _, module := range modules() {
		if path, err := exec.LookPath(filepath.Join(module, ".tools", name)); err == nil {
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

// modules are the folders above the package under test that have a go.mod: the repository, and
// perhaps a module within it.
func modules() []string {
	var found []string
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			found = append(found, dir)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return found
}
