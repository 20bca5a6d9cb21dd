package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A node is a JSON object whose members stay in order.
type node []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members in order, and < and & as they are.
func (n node) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	for i, m := range n {
		out.WriteByte("{,"[min(i, 1)])
		if err := e.Encode(m.name); err != nil {
			return nil, err
		}
		out.WriteByte(':')
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
	}
	if len(n) == 0 {
		out.WriteByte('{')
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// A writer makes one schema.
type writer struct {
	words words
	defs  node            // schemas of the structs that fields hold
	used  map[string]bool // which limits
}

// limits are what Submit and the workers demand of a field and its type doesn't say; a test holds them against Submit.
var limits = map[string]node{
	"Request.ID":        {{"pattern", `^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$`}},
	"Options.Tenant":    {{"pattern", `^[A-Za-z0-9._-]{0,64}$`}},
	"Options.KeyPrefix": {{"pattern", `^([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)?$`}, {"maxLength", 200}},
	"Options.Metadata":  {{"maxProperties", 32}, {"propertyNames", node{{"minLength", 1}}}},
	"Notify.URL":        {{"pattern", `^(https?://[^/]+.*)?$`}, {"maxLength", 2048}},
	"Notify.Stream":     {{"pattern", `^([A-Za-z0-9][A-Za-z0-9:._{}-]{0,127})?$`}, notOurs},
	"NotifyTask.Queue":  {{"pattern", `^[A-Za-z0-9][A-Za-z0-9:._-]{0,127}$`}, notOurs},
	"NotifyTask.Type":   {{"pattern", `\S`}, {"maxLength", 128}, notOurs},

	"Header.V":     {{"const", tasks.Version}},
	"Status.V":     {{"const", tasks.Version}},
	"Notice.V":     {{"const", tasks.Version}},
	"Manifest.V":   {{"const", tasks.Version}},
	"Header.Epoch": {{"minimum", 1}},
	"Output.N":     {{"minimum", 1}},
	"Output.Size":  {{"minimum", 0}},

	"Manifest.Kind":    {{"enum", []string{"video", "image", "audio"}}},
	"Manifest.Outputs": {{"minItems", 1}},
}

var notOurs = member{"not", node{{"pattern", "^(hourglass|asynq:)"}}}

// object is the schema of a struct.
func (w *writer) object(t reflect.Type) (node, error) {
	var properties node
	required := []string{}
	if err := w.properties(t, &properties, &required); err != nil {
		return nil, err
	}
	n := node{{"description", w.words.of[t.Name()]}, {"type", "object"}, {"properties", properties}}
	if len(required) > 0 {
		n = append(n, member{"required", required})
	}
	return n, nil
}

// properties adds the fields of a struct, those of embedded ones in their place.
func (w *writer) properties(t reflect.Type, properties *node, required *[]string) error {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			if err := w.properties(f.Type, properties, required); err != nil {
				return err
			}
			continue
		case name == "-", !f.IsExported():
			continue
		case name == "":
			return fmt.Errorf("%s.%s: no name in JSON", t.Name(), f.Name)
		}
		schema, err := w.of(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name(), f.Name, err)
		}
		if options == "" {
			*required = append(*required, name)
			if f.Type.Kind() == reflect.Pointer {
				schema = orNull(schema)
			}
		}
		if text := w.words.of[t.Name()+"."+f.Name]; text != "" {
			schema = append(node{{"description", text}}, schema...)
		}
		w.used[t.Name()+"."+f.Name] = true
		*properties = append(*properties, member{name, append(schema, limits[t.Name()+"."+f.Name]...)})
	}
	return nil
}

// of is the schema of a value.
func (w *writer) of(t reflect.Type) (node, error) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return node{{"type", "string"}, {"format", "date-time"}}, nil
	case reflect.TypeFor[json.RawMessage]():
		return node{{"type", "object"}}, nil // the body of a request, which the API defines
	case reflect.TypeFor[tasks.Duration]():
		return node{{"type", "string"}, {"pattern", `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}, {"examples", []string{"36h", "1h30m"}}}, nil
	}
	switch t.Kind() { //nolint:exhaustive // what the contract is made of
	case reflect.String:
		return w.text(t), nil
	case reflect.Int, reflect.Int64:
		return node{{"type", "integer"}}, nil
	case reflect.Bool:
		return node{{"type", "boolean"}}, nil
	case reflect.Pointer:
		return w.of(t.Elem())
	case reflect.Slice:
		items, err := w.of(t.Elem())
		return node{{"type", "array"}, {"items", items}}, err
	case reflect.Map:
		values, err := w.of(t.Elem())
		return node{{"type", "object"}, {"additionalProperties", values}}, err
	case reflect.Struct:
		return w.reference(t)
	}
	return nil, fmt.Errorf("no schema for a %s: add it to writer.go", t)
}

// text is a string, or one of the constants of its type. The types of notices get more from version to version, so
// that the known ones are examples.
func (w *writer) text(t reflect.Type) node {
	n := node{{"type", "string"}}
	switch known := w.words.choices[t.Name()]; {
	case len(known) == 0:
	case t == reflect.TypeFor[tasks.NoticeType]():
		n = append(n, member{"examples", known})
	default:
		n = append(n, member{"enum", known})
	}
	return n
}

// reference is a struct of its own, which is described once.
func (w *writer) reference(t reflect.Type) (node, error) {
	if !slices.ContainsFunc(w.defs, func(m member) bool { return m.name == t.Name() }) {
		at := len(w.defs)
		w.defs = append(w.defs, member{name: t.Name()})
		schema, err := w.object(t)
		if err != nil {
			return nil, err
		}
		w.defs[at].value = schema
	}
	return node{{"$ref", "#/$defs/" + t.Name()}}, nil
}

// orNull allows null as well.
func orNull(schema node) node {
	if schema[0].name == "$ref" {
		return node{{"anyOf", []any{schema, node{{"type", "null"}}}}}
	}
	out := slices.Clone(schema)
	for i, m := range out {
		switch m.name {
		case "type":
			out[i].value = []any{m.value, "null"}
		case "enum":
			values := []any{nil}
			for _, v := range m.value.([]string) {
				values = append(values, v)
			}
			out[i].value = values
		}
	}
	return out
}
