// Package settings declares settings the one way that all commands share: a flag wins over its
// variable, and the variable over the default; a secret comes from a variable or a file only,
// because a flag shows in the list of processes. An empty variable is one that is not set.
package settings

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

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

// From is where a flag gets its value when it is not given: the variable.
func From(variable string) cli.ValueSourceChain {
	return cli.NewValueSourceChain(env(variable))
}

// env is a variable that counts as not set while it is empty, as compose files leave it.
type env string

// Lookup returns the variable's value.
func (e env) Lookup() (string, bool) {
	v := os.Getenv(string(e))
	return v, v != ""
}

// IsFromEnv lets the help show the variable.
func (e env) IsFromEnv() bool { return true }

// Key is the variable's name.
func (e env) Key() string { return string(e) }

func (e env) String() string   { return fmt.Sprintf("environment variable %q", string(e)) }
func (e env) GoString() string { return e.String() }

const redisURL = "REDIS_URL"

// RedisFlag is the setting that every command has; Redis reads it.
func RedisFlag() cli.Flag {
	return &cli.StringFlag{
		Name:    FlagName(redisURL),
		Usage:   "Redis: redis://, rediss://, redis-sentinel://host1,host2?master_name=NAME or redis-cluster://host1,host2; with user, password and database. REDIS_URL_FILE names a file that holds it",
		Value:   "redis://127.0.0.1:6379/0",
		Sources: From(redisURL),
	}
}

// Redis returns the URL of Redis: the flag, the variable, the file, or the default.
func Redis(c *cli.Command) (string, error) {
	if name := FlagName(redisURL); c.IsSet(name) || os.Getenv(redisURL+"_FILE") == "" {
		return c.String(name), nil
	}
	return Secret(redisURL)
}

// Secret reads a secret from a variable, or from the file that variable_FILE names. The file is
// read at every call, so that a secret can be rotated under a running process. The error names
// the variable and never the secret.
func Secret(variable string) (string, error) {
	if v := os.Getenv(variable); v != "" {
		return oneLine(variable, v)
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
		return oneLine(variable+"_FILE", v)
	}
	return "", Usage("%s_FILE: the file %q is empty", variable, path)
}

// oneLine refuses what can't be sent in a header.
func oneLine(variable, v string) (string, error) {
	if strings.ContainsFunc(v, unicode.IsControl) {
		return "", Usage("%s: want one line, without control characters", variable)
	}
	return v, nil
}
