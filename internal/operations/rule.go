package operations

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// A rule demands something of one field, always or under a condition.
type rule struct {
	field     string // to be mended; dotted, with [] after a list
	demand    string // "is required", "must be one of 2, 4"
	condition string // "assets.video_source is file"; empty: always

	applies func(request map[string]any) bool
	broken  func(request map[string]any) []string // paths at which the demand is not met
	reads   []string                              // the fields that it compares
}

// String is the rule for somebody who writes a request.
func (r rule) String() string {
	words := r.field + " " + r.demand
	if r.condition != "" {
		words += " if " + r.condition
	}
	return words
}

// message is the rule for somebody who broke it: it comes after the path.
func (r rule) message() string {
	words := strings.TrimPrefix(r.demand, "is ")
	if r.condition != "" {
		words += ", because " + r.condition
	}
	return words
}

// when makes a rule hold only while another field has this value.
func (r rule) when(field, value string) rule {
	return r.provided(field, field+" is "+value, func(v any) bool { return v == value })
}

// whenDefault is when, for the value that the API takes where the field is not given.
func (r rule) whenDefault(field, value string) rule {
	return r.provided(field, field+" is "+value+" (the default)", func(v any) bool { return v == value || v == nil })
}

// without makes a rule hold only while another field, which would do as well, is missing.
func (r rule) without(field string) rule {
	return r.provided(field, field+" is missing", isMissing)
}

func (r rule) provided(field, condition string, holds func(value any) bool) rule {
	r.condition = condition
	r.reads = append(slices.Clone(r.reads), field)
	r.applies = func(request map[string]any) bool { return holds(lookup(request, field)) }
	return r
}

func required(field string) rule {
	return demand(field, "is required", func(request map[string]any) bool {
		return !isMissing(lookup(request, field))
	})
}

// oneOf is for a number that the schema requires: a missing one would be 0 here.
func oneOf(field string, numbers ...int64) rule {
	var choices []any
	for _, n := range numbers {
		choices = append(choices, n)
	}
	return demand(field, "must be one of "+list(choices), func(request map[string]any) bool {
		given := numberAt(request, field)
		return slices.ContainsFunc(numbers, func(n int64) bool { return given.Cmp(big.NewRat(n, 1)) == 0 })
	})
}

func atMostCharacters(field string, most int) rule {
	return demand(field, length("at most", most, "character"), func(request map[string]any) bool {
		text, _ := lookup(request, field).(string)
		return utf8.RuneCountInString(text) <= most // as JSON Schema counts for maxLength
	})
}

func endAfterStart() rule {
	return clip("must be greater than start_seconds", func(lasts *big.Rat) bool { return lasts.Sign() > 0 })
}

func clipAtLeast(least int64) rule {
	words := fmt.Sprintf("must be at least %d s after start_seconds", least)
	return clip(words, func(lasts *big.Rat) bool { return lasts.Cmp(big.NewRat(least, 1)) >= 0 })
}

func clipAtMost(most int64) rule {
	words := fmt.Sprintf("must be at most %d s after start_seconds", most)
	return clip(words, func(lasts *big.Rat) bool { return lasts.Cmp(big.NewRat(most, 1)) <= 0 })
}

// clip demands something of the time from start_seconds, 0 where it may be left out, to
// end_seconds. It is exact: as a float64, 0.3-0.1 is less than 0.2.
func clip(words string, met func(lasts *big.Rat) bool) rule {
	r := demand("end_seconds", words, func(request map[string]any) bool {
		return met(new(big.Rat).Sub(numberAt(request, "end_seconds"), numberAt(request, "start_seconds")))
	})
	r.reads = append(r.reads, "start_seconds")
	return r
}

// detectedFace demands a path such as only face detection gives. A URL is fine for every
// other asset, which is why this one has to be said.
func detectedFace(field string) rule {
	const words = "must be a path that face detection gave (faces[].path); " +
		"it is not covered here yet: detect faces with the API itself"
	broken := func(request map[string]any) (paths []string) {
		eachAsset("", request, strings.Split(field, "."), func(path, asset string) string {
			if !isUploaded(asset) {
				paths = append(paths, path)
			}
			return asset
		})
		return paths
	}
	return rule{field: field, demand: words, applies: always, broken: broken}
}

func demand(field, words string, met func(request map[string]any) bool) rule {
	broken := func(request map[string]any) []string {
		if met(request) {
			return nil
		}
		return []string{field}
	}
	return rule{field: field, demand: words, applies: always, broken: broken, reads: []string{field}}
}

func always(map[string]any) bool { return true }

// lookup returns the value of a dotted field; nil, if it is null or not there.
func lookup(request map[string]any, field string) any {
	var value any = request
	for name := range strings.SplitSeq(field, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// isMissing takes an empty string or list for nothing. An empty object is something: what must
// be in it is not stated.
func isMissing(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case []any:
		return len(value) == 0
	default:
		return false
	}
}

// numberAt is the number in a field as it is written; 0, if there is none.
func numberAt(request map[string]any, field string) *big.Rat {
	n, _ := lookup(request, field).(json.Number)
	exact, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return new(big.Rat)
	}
	return exact
}
