package operations

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// findings checks a request against a schema and says in plain words what it found.
func findings(schema *jsonschema.Schema, request map[string]any) []Problem {
	var invalid *jsonschema.ValidationError
	if !errors.As(schema.Validate(request), &invalid) {
		return nil
	}
	return leaves(invalid, request)
}

// leaves collects the ends of the library's tree of errors; its inner nodes only group.
func leaves(e *jsonschema.ValidationError, request map[string]any) []Problem {
	if len(e.Causes) == 0 {
		return problemsOf(pathOf(request, e.InstanceLocation), e.ErrorKind)
	}
	var problems []Problem
	for _, cause := range e.Causes {
		problems = append(problems, leaves(cause, request)...)
	}
	return problems
}

// problemsOf is one problem, at the path, or one for each field that is missing or unknown.
func problemsOf(path string, found jsonschema.ErrorKind) []Problem {
	switch found := found.(type) {
	case *kind.Required:
		return each(path, found.Missing, "required")
	case *kind.AdditionalProperties:
		return each(path, found.Properties, "unknown field")
	default:
		return []Problem{{path, message(path, found)}}
	}
}

func each(path string, names []string, message string) []Problem {
	problems := make([]Problem, len(names))
	for i, name := range names {
		problems[i] = Problem{below(path, name), message}
	}
	return problems
}

// message has words for every schema keyword that the generator lets in.
func message(path string, found jsonschema.ErrorKind) string {
	switch found := found.(type) {
	case *kind.Type:
		return "must be " + types(found.Want)
	case *kind.Enum:
		return choice(path, found.Want)
	case *kind.Format:
		return "must be a URL"
	case *kind.Minimum:
		return "must be at least " + number(found.Want)
	case *kind.Maximum:
		return "must be at most " + number(found.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(found.Want)
	case *kind.MinLength:
		return length("at least", found.Want, "character")
	case *kind.MaxLength:
		return length("at most", found.Want, "character")
	case *kind.MinItems:
		return length("at least", found.Want, "item")
	case *kind.MaxItems:
		return length("at most", found.Want, "item")
	default:
		return "not allowed by the API's schema"
	}
}

// choice lists the values of a closed list. Those of an open one are only worth reading
// while they fit on a line; voice_name has hundreds.
func choice(path string, values []any) string {
	const readable = 20
	switch {
	case !IsOpen(path):
		return "must be one of " + list(values)
	case len(values) <= readable:
		return "not one of " + list(values) + ", which this version knows; sent as it is"
	default:
		return "not a value this version knows; sent as it is"
	}
}

func list(values []any) string {
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = fmt.Sprint(value)
	}
	return strings.Join(words, ", ")
}

func length(bound string, n int, unit string) string {
	if bound == "at least" && n == 1 {
		return "must not be empty"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("must have %s %d %s", bound, n, unit)
}

func types(wanted []string) string {
	words := make([]string, len(wanted))
	for i, name := range wanted {
		words[i] = typeWords[name]
	}
	return strings.Join(words, " or ")
}

var typeWords = map[string]string{
	"array":   "a list",
	"boolean": "true or false",
	"integer": "a whole number",
	"null":    "null",
	"number":  "a number",
	"object":  "an object",
	"string":  "a string",
}

func number(n *big.Rat) string {
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'f', -1, 64)
}
