package operations

import (
	"regexp"
	"strconv"
)

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// below is the path of a field of the object at path. Names that would read as something
// else ("a.b", "", a line break) are quoted.
func below(path, name string) string {
	if !plainName.MatchString(name) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// at is the path of element i, from 0, of the list at path.
func at(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// walk visits every value that is neither object nor list, with its path, in no
// particular order.
func walk(path string, value any, visit func(path string, leaf any)) {
	switch value := value.(type) {
	case map[string]any:
		for name, child := range value {
			walk(below(path, name), child, visit)
		}
	case []any:
		for i, child := range value {
			walk(at(path, i), child, visit)
		}
	default:
		visit(path, value)
	}
}

// pathOf turns a location given as tokens into a path. The value is needed to tell a list
// index from an object's field that is called "0".
func pathOf(value any, tokens []string) string {
	path := ""
	for _, token := range tokens {
		switch v := value.(type) {
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return path
			}
			path, value = at(path, i), v[i]
		case map[string]any:
			path, value = below(path, token), v[token]
		}
	}
	return path
}
