package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

// fields are those of an object, sorted by path, and those below it.
func (s schema) fields(above string, required bool) []field {
	var all []field
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := field{s.Properties[name], above + name, required && slices.Contains(s.Required, name)}
		if len(f.Properties) > 0 {
			all = append(all, f.fields(f.path+".", f.required)...)
		} else {
			all = append(all, f)
		}
	}
	return all
}

// flag is the flag of a field.
func (f field) flag(o operations.Operation) cli.Flag {
	category := "Fields that may be left out"
	if f.required {
		category = "Fields that are required"
	}
	usage := f.usage(o)
	switch {
	case f.Type == "boolean":
		return &cli.BoolFlag{Name: f.path, Usage: usage, Category: category, HideDefault: true}
	case f.isTexts():
		return &cli.StringSliceFlag{Name: f.path, Usage: usage, Category: category}
	}
	return &cli.StringFlag{Name: f.path, Usage: usage, Category: category}
}

func (f field) isTexts() bool { return f.Type == "array" && f.Items != nil && f.Items.Type == "string" }

// isFile reports whether the field, or each in its list, is a media file.
func (f field) isFile(o operations.Operation) bool {
	return slices.Contains(o.Assets, f.path) || slices.Contains(o.Assets, f.path+"[]")
}

// usage says what the field takes, in the place of which its kind of value stands.
func (f field) usage(o operations.Operation) string {
	var parts []string
	switch words := f.choices(); {
	case len(words) > 0:
		parts = append(parts, "a `CHOICE` of "+choicesShown(o, words))
	case f.isFile(o) && f.Type == "array":
		parts = append(parts, "a `FILE`, as often as there are")
	case f.isFile(o):
		parts = append(parts, "a `FILE` here, a URL, s3://bucket/key or an uploaded path")
	case f.isTexts():
		parts = append(parts, "a `TEXT`, as often as there are")
	case f.Type == "array", f.Type == "object":
		parts = append(parts, "`JSON`, "+f.sketch())
	case f.Type == "string":
		parts = append(parts, "a `TEXT`")
	case f.Type == "integer":
		parts = append(parts, "a whole `NUMBER`")
	case f.Type == "number":
		parts = append(parts, "a `NUMBER`")
	}
	if f.Minimum != "" {
		parts = append(parts, "at least "+f.Minimum.String())
	}
	if f.Maximum != "" {
		parts = append(parts, "at most "+f.Maximum.String())
	}
	if f.MaxLength > 0 {
		parts = append(parts, "at most "+plural(f.MaxLength, "character"))
	}
	usage := strings.Join(parts, ", ")
	if f.Default != nil {
		usage += fmt.Sprintf(" (default: %v)", f.Default)
	}
	return usage
}

// sketch is the form of a list or an object.
func (f field) sketch() string {
	if f.Items == nil {
		return "an object"
	}
	var members []string
	for _, member := range f.Items.fields("", true) {
		members = append(members, `"`+member.path+`":…`)
	}
	return "a list of {" + strings.Join(members, ",") + "}"
}

// choices are the values of a field that takes some values only.
func (f field) choices() []string {
	var words []string
	for _, value := range f.Enum {
		words = append(words, fmt.Sprint(value))
	}
	return words
}

// choicesShown cuts a long list.
func choicesShown(o operations.Operation, words []string) string {
	const readable = 12
	if len(words) <= readable+1 {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more (enqueue schema %s)", strings.Join(words[:readable], ", "), len(words)-readable, o.Name)
}

// example is a value that the field takes.
func (f field) example(o operations.Operation) string {
	switch {
	case len(f.Enum) > 0:
		return fmt.Sprint(f.Enum[0])
	case f.isFile(o):
		return exampleFile(f.path)
	case f.Type == "string":
		return "a tin robot waves"
	case f.Type == "array", f.Type == "object":
		return "[]"
	case strings.HasSuffix(f.path, "end_seconds"):
		return "5"
	}
	return cmp.Or(f.Minimum.String(), "2")
}

// exampleValue is the same as JSON has it, but for files, which need not be there.
func (f field) exampleValue(o operations.Operation) any {
	switch value := f.example(o); {
	case f.isFile(o) && f.isTexts():
		return []any{"https://example.com/" + value}
	case f.isFile(o):
		return "https://example.com/" + value
	case f.isTexts():
		return []any{value}
	case f.Type == "string":
		return value
	default:
		return parseValue(value)
	}
}

func exampleFile(path string) string {
	switch {
	case strings.Contains(path, "video"):
		return "./clip.mp4"
	case strings.Contains(path, "audio"):
		return "./voice.mp3"
	}
	return "./face.png"
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if strings.ContainsAny(word, " '\"()&*?;<>|$`") {
		return `"` + word + `"`
	}
	return word
}

// value is what the field's flag says, as JSON has it.
func (f field) value(c *cli.Command) (any, error) {
	switch {
	case f.Type == "boolean":
		return c.Bool(f.path), nil
	case f.isTexts():
		texts := []any{}
		for _, text := range c.StringSlice(f.path) {
			texts = append(texts, text)
		}
		return texts, f.check(c.StringSlice(f.path)...)
	case f.Type == "string":
		return c.String(f.path), f.check(c.String(f.path))
	}
	return parseValue(c.String(f.path)), f.check(c.String(f.path)) // whether it is right is for the schema to say
}

func (f field) check(texts ...string) error {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return settings.Usage("--%s %q: %w", f.path, text, errEncoding)
		}
	}
	return nil
}
