package dashboard

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/seed-290c2414/hourglass/internal/magichour"
)

// longest is how much of a payload or a result is shown, in bytes.
const longest = 16 << 10

const redacted = "[redacted]"

var (
	// member is a member of an object whose value is a string, or a string by itself.
	member = regexp.MustCompile(`("(?:[^"\\]|\\.)*"\s*:\s*)?("(?:[^"\\]|\\.)*")`)

	secretName  = regexp.MustCompile(`(?i)secret|password|passwd|token|api[-_]?key|access[-_]?key|authorization|credential|cookie`)
	secretValue = regexp.MustCompile(`\bmhk_\w+|\bwhsec_\S+|(?i)\bbearer\s+\S+`)
)

// shown is what people see of a payload or a result: all but user and query of the URLs in it, where
// passwords and signatures are, and what has the name or the look of a secret. Asynqmon's own way hides one
// whole if there is a character in it that can't be seen, as in many an emoji.
func shown(_ string, text []byte) string {
	if !utf8.Valid(text) {
		return fmt.Sprintf("%d bytes that are no text", len(text))
	}
	said := ""
	if json.Valid(text) {
		said = member.ReplaceAllStringFunc(string(text), withoutSecrets)
	} else {
		said = redact(string(text))
	}
	if len(said) > longest {
		return strings.ToValidUTF8(said[:longest], "") + "…"
	}
	return said
}

// withoutSecrets reads a string as JSON means it: an escaped ? is one, too.
func withoutSecrets(text string) string {
	part := member.FindStringSubmatch(text)
	name, quoted := part[1], part[2]
	var value string
	if err := json.Unmarshal([]byte(quoted), &value); err != nil {
		return name + `"` + redacted + `"`
	}
	clean := redact(value)
	if value != "" && secretName.MatchString(name) {
		clean = redacted
	}
	if clean == value {
		return text
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(clean) // of a string
	return name + strings.TrimSuffix(b.String(), "\n")
}

func redact(text string) string {
	return secretValue.ReplaceAllString(magichour.Redact(text), redacted)
}
