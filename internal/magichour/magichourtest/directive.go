package magichourtest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

var directive = regexp.MustCompile(`\[fake([^\]]*)\]`)

// applyDirective changes a behavior as a project's name says: "[fake error=no_source_face
// render=3s canceled]" has the members of its JSON, and a word alone is true.
func applyDirective(b *Behavior, name string) error {
	found := directive.FindStringSubmatch(name)
	if found == nil {
		return nil
	}
	for _, word := range strings.Fields(found[1]) {
		member, value, given := strings.Cut(word, "=")
		if !given {
			value = "true"
		}
		if err := setMember(b, member, value); err != nil {
			return fmt.Errorf("the name's [fake] directive: %s: %w", word, err)
		}
	}
	if err := b.check(); err != nil {
		return fmt.Errorf("the name's [fake] directive: %w", err)
	}
	return nil
}

// setMember reads the value as JSON if it is that, and else as a string: "404" may be
// meant as either.
func setMember(b *Behavior, member, value string) error {
	if json.Valid([]byte(value)) && decodeMember(b, member, json.RawMessage(value)) == nil {
		return nil
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return decodeMember(b, member, quoted)
}

func decodeMember(b *Behavior, member string, value json.RawMessage) error {
	object, err := json.Marshal(map[string]json.RawMessage{member: value})
	if err != nil {
		return err
	}
	return decodeStrictly(object, b)
}

// decodeStrictly refuses unknown members: a misspelt one must not be a fake that goes well.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
