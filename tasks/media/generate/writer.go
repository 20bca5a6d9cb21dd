package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// A writer writes the types of one operation.
type writer struct {
	operation operations.Operation
	choices   *choiceTypes
	written   map[string]bool // names of types
	out       bytes.Buffer
}

// request writes the type of the whole body.
func (w *writer) request(s *schema) error {
	o := w.operation
	words, ok := what[o.Name]
	if !ok {
		return fmt.Errorf("no words for it: add some to words.go")
	}
	w.out.WriteString(header)
	name := goName(o.Name)
	doc := fmt.Sprintf("%s %s. The project is of the kind %s; half of all renders take less than %s.", name, words, o.Kind, o.Typical.Round(time.Second))
	if err := w.object(name, doc, "", s); err != nil {
		return err
	}
	fmt.Fprintf(&w.out, "// Operation returns %q.\nfunc (%s) Operation() string { return %q }\n", o.Name, name, o.Name)
	return nil
}

// object writes a struct, and then those of its fields that are objects.
func (w *writer) object(name, doc, path string, s *schema) error {
	if w.written[name] {
		return fmt.Errorf("%s: there is a second %s", path, name)
	}
	w.written[name] = true
	w.comment(doc)
	fmt.Fprintf(&w.out, "type %s struct {\n", name)
	var below []func() error
	for i, field := range order(s) {
		f := s.Properties[field]
		at := strings.TrimPrefix(path+"."+field, ".")
		goType, more := w.goType(field, at, f)
		if more != nil {
			below = append(below, more)
		}
		words, err := w.words(field, at, s, f)
		if err != nil {
			return err
		}
		if i > 0 {
			w.out.WriteString("\n")
		}
		w.comment(goName(field) + " " + words)
		pointer, omit := how(s, field, f)
		fmt.Fprintf(&w.out, "%s %s%s `json:\"%s%s\"`\n", goName(field), pointer, goType, field, omit)
	}
	w.out.WriteString("}\n\n")
	for _, write := range below {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// order puts what is required first.
func order(s *schema) []string {
	names := slices.SortedFunc(maps.Keys(s.Properties), func(a, b string) int {
		optional := func(name string) int {
			if slices.Contains(s.Required, name) {
				return 0
			}
			return 1
		}
		return cmp.Or(optional(a)-optional(b), strings.Compare(a, b))
	})
	return slices.DeleteFunc(names, func(name string) bool { return s.Properties[name].Deprecated })
}

// goType returns the type of a field, and what writes it if it has one of its own.
func (w *writer) goType(field, path string, s *schema) (string, func() error) {
	switch {
	case s.is("object"):
		name := goName(w.operation.Name) + goName(field)
		return name, func() error {
			return w.object(name, fmt.Sprintf("%s is what stands under %s in %s.", name, path, goName(w.operation.Name)), path, s)
		}
	case s.is("array"):
		one := strings.TrimSuffix(field, "s")
		goType, more := w.goType(one, path+"[]", s.Items)
		return "[]" + goType, more
	case s.is("boolean"):
		return "bool", nil
	case s.is("integer"), s.is("number") && (wholeOnly(s.Enum) || s.MultipleOf >= 1):
		return "int", nil
	case s.is("number"):
		return "float64", nil
	case len(s.Enum) > 0 && !operations.IsOpen(path):
		w.choices.add(field, s.Enum)
		return goName(field), nil
	}
	return "string", nil
}

func wholeOnly(enum []any) bool {
	for _, v := range enum {
		if f, ok := v.(float64); !ok || f != float64(int(f)) {
			return false
		}
	}
	return len(enum) > 0
}

// how tells whether a field is a pointer, and when it is left out. Only where zero is a wish that differs from none
// is it one.
func how(parent *schema, field string, s *schema) (pointer, omit string) {
	required := slices.Contains(parent.Required, field)
	switch {
	case s.is("object") && required, required && !s.is("string"):
		return "", ""
	case s.is("object"):
		return "", ",omitzero"
	case s.is("string"), s.is("array"), zeroIsNothing(s):
		return "", ",omitempty"
	}
	return "*", ",omitempty"
}

// zeroIsNothing reports whether zero is the default, or nothing that the API would take.
func zeroIsNothing(s *schema) bool {
	return s.Default == false || s.Default == 0.0 || s.Minimum != nil && *s.Minimum > 0 || wholeOnly(s.Enum) && !slices.Contains(s.Enum, any(0.0))
}

// words say what a field is and what it takes.
func (w *writer) words(field, path string, parent, s *schema) (string, error) {
	words, ok := fields[w.operation.Name+":"+path]
	if !ok {
		words, ok = fields[field]
	}
	if !ok {
		return "", fmt.Errorf("%s: no words for it: add some to words.go", path)
	}
	sentences := []string{words}
	if slices.Contains(parent.Required, field) {
		sentences = append(sentences, "Required")
	}
	sentences = append(sentences, bounds(w.operation.Name, path, s)...)
	for _, rule := range w.operation.Rules() {
		if demand, its := strings.CutPrefix(rule, path+" "); its {
			sentences = append(sentences, first(strings.TrimPrefix(demand, "is ")))
		}
	}
	return strings.Join(sentences, ". ") + ".", nil
}

func bounds(operation, path string, s *schema) (sentences []string) {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		sentences = append(sentences, fmt.Sprintf("From %v to %v", *s.Minimum, *s.Maximum))
	case s.Minimum != nil:
		sentences = append(sentences, fmt.Sprintf("At least %v", *s.Minimum))
	}
	if s.MultipleOf != 0 {
		sentences = append(sentences, fmt.Sprintf("In steps of %v", s.MultipleOf))
	}
	if s.MaxLength > 0 {
		sentences = append(sentences, fmt.Sprintf("At most %d characters", s.MaxLength))
	}
	if s.MaxItems > 0 {
		sentences = append(sentences, fmt.Sprintf("At most %d", s.MaxItems))
	}
	if text := choice(operation, path, s.Enum); text != "" {
		sentences = append(sentences, text)
	}
	if text := fmt.Sprint(s.Default); s.Default != nil && !s.is("object") && !strings.HasSuffix(text, "dateTime") && text != "default" {
		sentences = append(sentences, "By default "+text)
	}
	return sentences
}

// choice lists what is to choose from, where it fits on some lines.
func choice(operation, path string, enum []any) string {
	const readable = 20
	values := make([]string, len(enum))
	for i, v := range enum {
		values[i] = fmt.Sprint(v)
	}
	list := strings.Join(values, ", ")
	switch {
	case len(enum) == 0:
		return ""
	case len(enum) > readable:
		return fmt.Sprintf("One of %d, which enqueue schema %s lists", len(enum), operation)
	case operations.IsOpen(path):
		return "Known are " + list
	}
	return "One of " + list
}

func first(sentence string) string { return strings.ToUpper(sentence[:1]) + sentence[1:] }

// comment writes a doc comment, wrapped.
func (w *writer) comment(text string) {
	const width = 110
	line := "//"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width {
			w.out.WriteString(line + "\n")
			line = "//"
		}
		line += " " + word
	}
	w.out.WriteString(line + "\n")
}
