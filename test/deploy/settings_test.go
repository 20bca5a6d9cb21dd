package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// takes is which settings a program takes, by its own word.
type takes struct{ variables, flags map[string]bool }

var (
	flagInHelp     = regexp.MustCompile(`(?m)^ +(--[a-z0-9-]+)`)
	variableInHelp = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)
	eachWithFile   = regexp.MustCompile(`(.*) \(or each with _FILE\)`)
)

// inHelp reads the settings from a help text: flags with their variables, [$NAME], and in the
// description those that are no flags: secrets, and what the AWS SDK reads.
func inHelp(text string) takes {
	p := takes{map[string]bool{}, map[string]bool{}}
	for _, match := range flagInHelp.FindAllStringSubmatch(text, -1) {
		p.flags[match[1]] = true
	}
	for _, name := range variableInHelp.FindAllString(text, -1) {
		p.variables[name] = true
	}
	for _, match := range eachWithFile.FindAllStringSubmatch(text, -1) {
		for _, name := range variableInHelp.FindAllString(match[1], -1) {
			p.variables[name+"_FILE"] = true
		}
	}
	return p
}

// asynqmonSource returns a file of Asynqmon.
func asynqmonSource(t *testing.T, name string) string {
	t.Helper()
	const module = "github.com/hibiken/asynqmon"
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	cmd.Dir, cmd.Stderr = root, os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("go mod download %s: %v\n%s", module, err, output)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(output, &downloaded); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(downloaded.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// inSource reads the settings of Asynqmon from its source: it has no help that names variables.
func inSource(t *testing.T) takes {
	t.Helper()
	p := takes{variables: map[string]bool{}}
	for _, match := range regexp.MustCompile(`getEnv\w+\("([A-Z_]+)"`).FindAllStringSubmatch(asynqmonSource(t, "cmd/asynqmon/main.go"), -1) {
		p.variables[match[1]] = true
	}
	return p
}

// settingsOf is what the program of a service takes.
func settingsOf(t *testing.T, service types.ServiceConfig) takes {
	t.Helper()
	switch {
	case service.Build != nil:
		return inHelp(help(t, arguments(t, service)[0]))
	case service.Name == "asynqmon":
		return inSource(t)
	default:
		output, err := exec.CommandContext(t.Context(), testservers.Program(t, service.Name), "--help").Output() //nolint:gosec // a program of the stack
		if err != nil {
			t.Fatal(err)
		}
		return inHelp(string(output))
	}
}

// arguments is the command line of a service, of the image's where the compose file has none.
func arguments(t *testing.T, service types.ServiceConfig) []string {
	t.Helper()
	line := append(slices.Clone(service.Entrypoint), service.Command...)
	if len(line) == 0 {
		line = dockerfile(t).final().command(t)
	}
	return line
}

var exported = regexp.MustCompile(`(?m)^export (.+)$`)

// variablesOf are the names of all variables that a service gives its program, by its environment
// or by a script before it.
func variablesOf(service types.ServiceConfig) []string {
	names := slices.Collect(maps.Keys(service.Environment))
	for _, match := range exported.FindAllStringSubmatch(strings.Join(service.Entrypoint, "\n"), -1) {
		names = append(names, strings.Fields(match[1])...)
	}
	return names
}

func flagsOf(service types.ServiceConfig) []string {
	var names []string
	for _, argument := range slices.Concat(service.Entrypoint, service.Command) {
		if name, _, _ := strings.Cut(argument, "="); strings.HasPrefix(name, "--") {
			names = append(names, name)
		}
	}
	return names
}

// strangers are the settings of a service that its program does not take.
func strangers(service types.ServiceConfig, p takes) []string {
	unknown := slices.DeleteFunc(variablesOf(service), func(name string) bool { return p.variables[name] })
	return append(unknown, slices.DeleteFunc(flagsOf(service), func(name string) bool { return p.flags[name] })...)
}

func TestSettings(t *testing.T) {
	t.Parallel()
	services := demo(t).Services
	delete(services, "redis") // says only at its start what it takes: TestStack does that
	for name, service := range services {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := settingsOf(t, service)
			if got := strangers(service, p); len(got) > 0 {
				t.Errorf("settings that %s does not take: %v", name, got)
			}
			if len(variablesOf(service))+len(flagsOf(service)) == 0 {
				t.Error("no settings: are they still read right?")
			}
			for _, setting := range variablesOf(service) {
				notices(t, name, p, setting, setting+"S", regexp.MustCompile(`(^|[^{\w])`+setting+`\b`))
			}
			for _, setting := range flagsOf(service) {
				notices(t, name, p, setting, setting+"s", regexp.MustCompile(`()`+setting+`\b`))
			}
		})
	}
}

// notices renames a setting in a copy of the compose files and wants that to be seen.
func notices(t *testing.T, service string, p takes, setting, renamed string, pattern *regexp.Regexp) {
	t.Helper()
	dir := files(t, func(text string) string { return pattern.ReplaceAllString(text, "${1}"+renamed) })
	project := load(t, dir, stack, []string{"COMPOSE_PROFILES=demo,tools"}, withEnvFile(dir))
	if got := strangers(project.Services[service], p); !slices.Contains(got, renamed) {
		t.Errorf("%s renamed to %s: got complaints about %v", setting, renamed, got)
	}
}

// help is what a program of the image prints.
func help(t *testing.T, name string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), filepath.Join(image(t), path.Base(name)), "--help").CombinedOutput() //nolint:gosec // our own programs
	if err != nil {
		t.Fatal(fmt.Errorf("%s --help: %w\n%s", name, err, output))
	}
	return string(output)
}
