// Package deploy holds the deployment files to their word, without a container engine: they are
// read by the loader that compose uses, their settings are looked for in the programs, what they
// start is started as processes, and the image's programs are built by the Dockerfile's own line.
package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

const (
	root     = "../.." // of the repository
	stack    = "docker-compose.yml"
	asynqmon = "asynqmon.yml"
	demoEnv  = "deploy/demo.env"
)

// files copies the compose files and their folder to a place where nobody's .env lies beside them,
// and lets edit change each file but the env file on the way.
func files(t *testing.T, edit func(string) string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy"), os.DirFS(filepath.Join(root, "deploy"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{stack, asynqmon, "deploy/asynqmon.override.yml"} {
		text := read(t, name)
		if edit != nil {
			text = edit(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// load reads a compose file as compose does, in a shell that has no variables but shell.
func load(t *testing.T, dir, file string, shell []string, options ...cli.ProjectOptionsFn) *types.Project {
	t.Helper()
	options = append([]cli.ProjectOptionsFn{cli.WithWorkingDirectory(dir), cli.WithEnv(shell)}, options...)
	options = append(options, cli.WithDotEnv, cli.WithDefaultProfiles())
	o, err := cli.NewProjectOptions([]string{filepath.Join(dir, file)}, options...)
	if err != nil {
		t.Fatal(err)
	}
	project, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return project
}

// withEnvFile is --env-file.
func withEnvFile(dir string) cli.ProjectOptionsFn {
	return cli.WithEnvFiles(filepath.Join(dir, demoEnv))
}

// demo is the stack of the demo, with the services that only `compose run` starts.
func demo(t *testing.T) *types.Project {
	t.Helper()
	dir := files(t, nil)
	return load(t, dir, stack, []string{"COMPOSE_PROFILES=demo,tools"}, withEnvFile(dir))
}

// everything is the demo with all of its profiles.
func everything(t *testing.T) *types.Project {
	t.Helper()
	dir := files(t, nil)
	return load(t, dir, stack, []string{"COMPOSE_PROFILES=" + allProfiles}, withEnvFile(dir))
}

const allProfiles = "demo,tools,dashboard,metrics"

func TestServices(t *testing.T) {
	t.Parallel()
	dir := files(t, nil)
	tests := []struct {
		name, file string
		shell      []string
		options    []cli.ProjectOptionsFn
		project    string
		want       []string
	}{
		{"defaults", stack, nil, nil, "hourglass", []string{"asynqmon", "redis", "versitygw", "worker"}},
		{"demo", stack, nil, []cli.ProjectOptionsFn{withEnvFile(dir)}, "hourglass-demo", []string{"asynqmon", "fakehour", "redis", "versitygw", "worker"}},
		{"tools", stack, []string{"COMPOSE_PROFILES=tools"}, nil, "hourglass", []string{"asynqmon", "enqueue", "redis", "versitygw", "worker"}},
		{"dashboard", stack, []string{"COMPOSE_PROFILES=dashboard"}, nil, "hourglass", []string{"asynqmon", "dashboard", "redis", "versitygw", "worker"}},
		{"metrics", stack, []string{"COMPOSE_PROFILES=metrics"}, nil, "hourglass", []string{"asynqmon", "grafana", "prometheus", "redis", "versitygw", "worker"}},
		{"Asynqmon alone", asynqmon, nil, nil, "asynqmon", []string{"asynqmon"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			project := load(t, dir, test.file, test.shell, test.options...)
			if diff := cmp.Diff(test.want, slices.Sorted(slices.Values(project.ServiceNames()))); diff != "" {
				t.Errorf("services (-want +got):\n%s", diff)
			}
			if project.Name != test.project {
				t.Errorf("project: got %s, want %s", project.Name, test.project)
			}
		})
	}
}

// A shell's REDIS_URL is for Asynqmon alone: the stack has its own Redis, and a demo must not meet
// real jobs.
func TestRedisOfTheShell(t *testing.T) {
	t.Parallel()
	const theirs, ours = "redis://prod.example.com:6379/0", "redis://redis:6379/0"
	dir, shell := files(t, nil), []string{"REDIS_URL=" + theirs, "COMPOSE_PROFILES=demo,tools"}
	for _, name := range []string{"worker", "enqueue", "asynqmon"} {
		if got := *load(t, dir, stack, shell, withEnvFile(dir)).Services[name].Environment["REDIS_URL"]; got != ours {
			t.Errorf("%s: got %s, want %s", name, got, ours)
		}
	}
	if got := *load(t, dir, asynqmon, shell).Services["asynqmon"].Environment["REDIS_URL"]; got != theirs {
		t.Errorf("alone: got %s, want %s", got, theirs)
	}
}

func TestStorageAtAWS(t *testing.T) {
	t.Parallel()
	dir := files(t, nil)
	worker := load(t, dir, stack, []string{
		"STORAGE_URL=s3://my-bucket/media", "AWS_ENDPOINT_URL_S3=", "AWS_REGION=eu-central-1", "S3_PATH_STYLE=false",
	}).Services["worker"]
	got := map[string]string{}
	for _, name := range []string{"STORAGE_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "S3_PATH_STYLE"} {
		got[name] = *worker.Environment[name]
	}
	want := map[string]string{"STORAGE_URL": "s3://my-bucket/media", "AWS_ENDPOINT_URL_S3": "", "AWS_REGION": "eu-central-1", "S3_PATH_STYLE": "false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// Some versions of compose refuse a file that depends on what only an including file defines, or
// the other way round: without the include each must load as well.
func TestFilesStandAlone(t *testing.T) {
	t.Parallel()
	dir := files(t, nil)
	alone := cli.WithLoadOptions(func(o *loader.Options) { o.SkipInclude = true })
	for file, want := range map[string][]string{
		stack:    {"enqueue", "fakehour", "redis", "versitygw", "worker"},
		asynqmon: {"asynqmon"},
	} {
		got := load(t, dir, file, []string{"COMPOSE_PROFILES=demo,tools"}, alone).ServiceNames()
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
			t.Errorf("%s: services (-want +got):\n%s", file, diff)
		}
		if strings.Contains("\n"+read(t, file), "\nversion:") {
			t.Errorf("%s: has a version, which compose ignores with a warning", file)
		}
	}
}
