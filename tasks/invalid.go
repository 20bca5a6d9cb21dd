package tasks

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// An InvalidError is an ErrInvalid that tells, field by field, what is wrong with a request. Get it with errors.As:
//
//	var invalid *tasks.InvalidError
//	if errors.As(err, &invalid) {
//		for _, p := range invalid.Problems {
//			fmt.Println(p.Path, p.Message)
//		}
//	}
type InvalidError struct {
	Problems []Problem // at least one
	cause    error     // says all of it in a line; nil: Problems does
}

// A Problem is one thing that is wrong with a request. Its JSON is meant for those who sent it.
type Problem struct {
	// Path is the field in the JSON of a request, dotted, with list indices from 0: "id", "operation", "options.tenant",
	// "body.assets.face_mappings[0].new_face".
	Path string `json:"path"`

	// Message is what is wrong there: "required", "must be at least 1". It never repeats a value of the body.
	Message string `json:"message"`
}

func problem(path, format string, a ...any) Problem { return Problem{path, fmt.Sprintf(format, a...)} }

// Error says all of it in a line.
func (e *InvalidError) Error() string {
	if e.cause != nil {
		return ErrInvalid.Error() + ": " + e.cause.Error()
	}
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Path + ": " + p.Message
	}
	return ErrInvalid.Error() + ": " + strings.Join(lines, "; ")
}

// Unwrap makes it ErrInvalid to errors.Is.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// invalid says that the field at path is wrong or, where the cause knows them, which fields below it are.
func invalid(path string, cause error) error {
	var fields *operations.InvalidError
	if !errors.As(cause, &fields) {
		return &InvalidError{[]Problem{{path, cause.Error()}}, cause}
	}
	e := &InvalidError{cause: cause}
	for _, p := range fields.Problems {
		at := path
		if p.Path != "" {
			at += "." + p.Path
		}
		e.Problems = append(e.Problems, Problem{at, p.Message})
	}
	return e
}
