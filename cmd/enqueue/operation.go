package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/settings"
)

// operationCommands are a command for each operation of the catalogue, which is submit with a flag for each field of the
// body. They are not in the list of commands, which they would make three screens long. Only one that the arguments name
// is given its flags: those of all would double the time that any command takes to start.
func operationCommands(args []string, stdin io.Reader, stdout, stderr io.Writer) []*cli.Command {
	var commands []*cli.Command
	for _, o := range operations.All() {
		if slices.Contains(args, o.Name) {
			commands = append(commands, operationCommand(o, stdin, stdout, stderr))
		} else {
			commands = append(commands, &cli.Command{Name: o.Name, Hidden: true})
		}
	}
	return commands
}

// Categories are sorted by their names.
const optionsCategory = "Options of the job"

func operationCommand(o operations.Operation, stdin io.Reader, stdout, stderr io.Writer) *cli.Command {
	command := submitCommand(stdin, stdout, stderr)
	fields := fieldsOf(o)
	values := map[string]offers{"priority": priorities}
	for _, flag := range command.Flags {
		if categorized, ok := flag.(cli.CategorizableFlag); ok {
			categorized.SetCategory(optionsCategory)
		}
	}
	command.Flags = append(command.Flags, jsonFlag(optionsCategory))
	for _, f := range fields {
		command.Flags = append(command.Flags, f.flag(o))
		if words := f.choices(); len(words) > 0 {
			values[f.path] = these(words...)
		}
	}
	submit := command.Action
	command.Name, command.ArgsUsage, command.Hidden = o.Name, "", true
	command.Usage = fmt.Sprintf("submit one %s job and print its id; half of all renders take longer than %s", o.Kind, o.Typical)
	command.Description = operationHelp(o, fields)
	command.ShellComplete = complete(values, nil)
	command.Action = func(ctx context.Context, c *cli.Command) error {
		if c.Args().Present() {
			return settings.Usage("unexpected argument %q; see enqueue %s --help", c.Args().First(), o.Name)
		}
		return submit(ctx, c)
	}
	return command
}

func operationHelp(o operations.Operation, fields []field) string {
	text := "   enqueue " + o.Name
	for _, f := range exampleFields(o, fields) {
		text += " --" + f.path + " " + quoted(f.example(o))
	}
	text += `

Each field of the request is a flag by its path, as in enqueue schema ` + o.Name + `, in errors, and in --set and --body, over which
flags are laid. A text is taken as it is; a list of texts is a flag for each; other values are JSON.

Magic Hour charges for the job when a worker creates it, and tells the credits then: enqueue status shows them. --dry-run checks
everything and costs nothing. --id makes the call safe to repeat: the same request under the same id is one job, paid for once.
A model, style, voice or language that is not listed is sent all the same, with a warning.
`
	for _, rule := range o.Rules() {
		text += "\nAlso: " + rule + "."
	}
	return strings.Join([]string{strings.TrimRight(text, "\n"), filesHelp, exitCodes}, "\n\n")
}

// exampleFields are the fields of an example: those that are required, and those that a rule makes so.
func exampleFields(o operations.Operation, fields []field) []field {
	missing := map[string]bool{}
	for {
		var example []field
		var body any = map[string]any{}
		for _, f := range fields {
			if steps, err := parsePath(f.path); err == nil && (f.required || missing[f.path]) {
				example = append(example, f)
				body, _ = put(body, steps, f.exampleValue(o))
			}
		}
		text, _ := json.Marshal(schemaOf(o).whole(body))
		_, err := o.Validate(text)
		before := len(missing)
		var invalid *operations.InvalidError
		if errors.As(err, &invalid) {
			for _, p := range invalid.Problems {
				if strings.HasPrefix(p.Message, "required") {
					missing[p.Path] = true
				}
			}
		}
		if len(missing) == before {
			return example
		}
	}
}

// A field is one of a request's body.
type field struct {
	schema

	path     string // dotted, as in --set
	required bool
}

// A schema is what is read of an operation's: enough to say what a field takes. What a request may hold is not judged by it.
type schema struct {
	Type       kindOfValue
	Properties map[string]schema
	Required   []string
	Enum       []any
	Default    any
	Minimum    json.Number
	Maximum    json.Number
	MaxLength  int
	Items      *schema
}

// A kindOfValue is a JSON Schema type; of several, the first, which the API has where a field may be null as well.
type kindOfValue string

// UnmarshalJSON implements json.Unmarshaler.
func (k *kindOfValue) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*k = kindOfValue(one)
		return nil
	}
	var several []string
	if err := json.Unmarshal(text, &several); err != nil {
		return err
	}
	*k = kindOfValue(strings.Join(several[:min(1, len(several))], ""))
	return nil
}

// fieldsOf are the fields of an operation's body, but for objects, which have fields of their own.
func fieldsOf(o operations.Operation) []field { return schemaOf(o).fields("", true) }

func schemaOf(o operations.Operation) (top schema) {
	_ = json.Unmarshal(o.Schema(), &top) // a test reads them all
	return top
}

// whole is an object with the objects in it that are required, which may be empty: no flag makes one.
func (s schema) whole(tree any) any {
	object, ok := tree.(map[string]any)
	if !ok {
		return tree
	}
	for name, inner := range s.Properties {
		if object[name] == nil && len(inner.Properties) > 0 && slices.Contains(s.Required, name) {
			object[name] = map[string]any{}
		}
		if object[name] != nil {
			object[name] = inner.whole(object[name])
		}
	}
	return object
}

// setFieldFlags lays the flags of fields over a body, in the order of their paths.
func setFieldFlags(c *cli.Command, body json.RawMessage) (json.RawMessage, error) {
	o, known := operations.Lookup(c.Name)
	if !known {
		return body, nil
	}
	var tree any
	if err := decode(body, &tree); err != nil {
		return nil, err
	}
	for _, f := range fieldsOf(o) {
		if !c.IsSet(f.path) {
			continue
		}
		value, err := f.value(c)
		if err != nil {
			return nil, err
		}
		steps, err := parsePath(f.path)
		if err != nil {
			return nil, err
		}
		if tree, err = put(tree, steps, value); err != nil {
			return nil, settings.Usage("--%s: %w", f.path, err)
		}
	}
	return json.Marshal(schemaOf(o).whole(tree))
}
