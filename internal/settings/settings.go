// Package settings declares settings the one way that all commands share: a flag wins over its
// variable, and the variable over the default; a secret comes from a variable or a file only,
// because a flag shows in the list of processes.
package settings

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
)

// ErrUsage is a setting or an argument that is wrong or missing. Its text names it and says what
// it takes.
var ErrUsage = errors.New("usage")

// Usage returns an error that is ErrUsage and reads as the given text.
func Usage(format string, a ...any) error {
	return &usage{fmt.Errorf(format, a...)}
}

type usage struct{ error }

func (u *usage) Is(target error) bool { return target == ErrUsage }
func (u *usage) Unwrap() error        { return u.error }

// FlagName is the flag of a variable: without HOURGLASS_, in lower case, with dashes.
func FlagName(variable string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, "HOURGLASS_")), "_", "-")
}

// RedisURL is the setting that every command has.
func RedisURL() cli.Flag {
	return &cli.StringFlag{
		Name:    FlagName("REDIS_URL"),
		Usage:   "Redis: redis://, rediss://, redis-sentinel://host1,host2?master_name=NAME or redis-cluster://host1,host2; with user, password and database. REDIS_URL_FILE names a file that holds it",
		Value:   "redis://127.0.0.1:6379/0",
		Sources: cli.NewValueSourceChain(cli.EnvVar("REDIS_URL"), fileOf("REDIS_URL_FILE")),
	}
}

// Secret reads a secret from a variable, or from the file that variable_FILE names. The file is
// read at every call, so that a secret can be rotated under a running process. The error names
// the variable and never the secret.
func Secret(variable string) (string, error) {
	if v := os.Getenv(variable); v != "" {
		return v, nil
	}
	path := os.Getenv(variable + "_FILE")
	if path == "" {
		return "", Usage("%s: not set; give it in this variable, or in a file that %s_FILE names", variable, variable)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", Usage("%s_FILE: %w", variable, err)
	}
	if v := strings.TrimSpace(string(text)); v != "" {
		return v, nil
	}
	return "", Usage("%s_FILE: %s is empty", variable, path)
}

// fileOf is the value in the file that a variable names.
type fileOf string

func (f fileOf) Lookup() (string, bool) {
	path := os.Getenv(string(f))
	if path == "" {
		return "", false
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	return strings.TrimSpace(string(text)), err == nil
}

func (f fileOf) String() string   { return "file named by " + string(f) }
func (f fileOf) GoString() string { return f.String() }
