package operations

import (
	"cmp"
	"slices"
	"strings"
)

// A Problem is one thing wrong with a request, or doubtful about it. It never repeats a
// value of the request: those may hold secrets.
type Problem struct {
	// Path is the field, dotted, with list indices from 0: "assets.face_mappings[0].new_face".
	// A name that is not plain letters, digits, _ and - is quoted. Empty: the whole body.
	Path string
	// Message is what is wrong: "required", "must be at least 1".
	Message string
}

// String returns the path and the message: "assets.image_file_path: required".
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// An InvalidError says why a request is refused. It is permanent: the same request is
// refused every time.
type InvalidError struct {
	Operation string
	Problems  []Problem // at least one, sorted by path
}

// Error names the operation and every problem:
// "face-swap: assets.video_source: required; end_seconds: must be at least 0.1".
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return e.Operation + ": " + strings.Join(lines, "; ")
}

// sorted puts problems in a stable order and drops what was found twice.
func sorted(problems []Problem) []Problem {
	slices.SortFunc(problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(problems)
}
