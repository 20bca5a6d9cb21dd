package operations

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// decode reads a request body. Numbers stay as they are written: a float64 would round
// them before they are compared with the schema's bounds.
func decode(body []byte) (map[string]any, *Problem) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, &Problem{"", "the body must be a JSON object, but is empty"}
	}
	if !utf8.Valid(body) { // JSON readers would put a mark in the place of what they can't read
		return nil, &Problem{"", "the body is not valid UTF-8"}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, &Problem{"", "the body is not valid JSON: " + err.Error()}
	}
	request, ok := value.(map[string]any)
	if !ok {
		return nil, &Problem{"", "the body must be a JSON object, but is " + typeName(value)}
	}
	return request, nil
}

func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	default:
		return "a list"
	}
}

// unusableNumbers finds the numbers that the schema library can't take: it panics on
// 1e9999999, and is slow long before.
func unusableNumbers(request map[string]any) []Problem {
	var problems []Problem
	walk("", request, func(path string, value any) {
		if n, ok := value.(json.Number); ok && !usable(n) {
			problems = append(problems, Problem{path, "not a usable number: too large, too small or too long"})
		}
	})
	return problems
}

// usable bounds the digits and the exponent of a number by what a float64 can hold, which
// is what the API, being JavaScript, reads every number into.
func usable(n json.Number) bool {
	const longest = 400
	_, exponent, found := strings.Cut(strings.ToLower(n.String()), "e")
	if found {
		e, err := strconv.Atoi(exponent)
		if err != nil || e > longest || e < -longest {
			return false
		}
	}
	_, err := n.Float64()
	return err == nil && len(n) <= longest
}
