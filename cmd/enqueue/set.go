package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A step of a path is a member's name, or an index where name is empty.
type step struct {
	name  string
	index int
}

// longestList bounds the index in a path: a typo must not make a list of a million.
const longestList = 1000

// parsePath reads "assets.face_mappings[0].new_face".
func parsePath(path string) ([]step, error) {
	var steps []step
	for part := range strings.SplitSeq(path, ".") {
		name, rest, _ := strings.Cut(part, "[")
		if name == "" {
			return nil, errors.New("a name is missing in the path")
		}
		steps = append(steps, step{name: name})
		if rest == "" && !strings.HasSuffix(part, "[") {
			continue
		}
		for index := range strings.SplitSeq(rest, "[") {
			n, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
			if err != nil || !strings.HasSuffix(index, "]") || n < 0 || n >= longestList {
				return nil, fmt.Errorf("%q: want an index such as [0], below %d", "["+index, longestList)
			}
			steps = append(steps, step{index: n})
		}
	}
	return steps, nil
}

// put sets the value at a path and returns the changed tree. What is missing on the way is made;
// what is of another form is an error.
func put(tree any, steps []step, value any) (any, error) {
	if len(steps) == 0 {
		return value, nil
	}
	if steps[0].name != "" {
		return putMember(tree, steps, value)
	}
	list, ok := tree.([]any)
	if !ok && tree != nil {
		return nil, fmt.Errorf("[%d]: there is no list to set it in", steps[0].index)
	}
	for len(list) <= steps[0].index {
		list = append(list, nil)
	}
	inner, err := put(list[steps[0].index], steps[1:], value)
	list[steps[0].index] = inner
	return list, err
}

func putMember(tree any, steps []step, value any) (any, error) {
	object, ok := tree.(map[string]any)
	if !ok && tree != nil {
		return nil, fmt.Errorf("%s: there is no object to set it in", steps[0].name)
	}
	if object == nil {
		object = map[string]any{}
	}
	inner, err := put(object[steps[0].name], steps[1:], value)
	object[steps[0].name] = inner
	return object, err
}

// parseValue is JSON if it parses as JSON, else a string.
func parseValue(text string) any {
	var v any
	if decode([]byte(text), &v) != nil {
		return text
	}
	return v
}

// errEncoding refuses what JSON readers would change: they put a mark in the place of bytes that are
// no UTF-8.
var errEncoding = errors.New("not valid UTF-8")

// decode reads exactly one JSON value and keeps numbers as they were written.
func decode(text []byte, v any) error {
	if !utf8.Valid(text) {
		return errEncoding
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
