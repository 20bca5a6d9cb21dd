package deploy

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

var (
	interpolated = regexp.MustCompile(`\$\$|\$\{?(\w+)(:?-)?`) // $$ is an escaped dollar
	comment      = regexp.MustCompile(`(?m)(^|\s)#.*$`)
)

// variables returns which variables a compose file interpolates, and whether each has a default.
func variables(text string) map[string]bool {
	names := map[string]bool{}
	for _, match := range interpolated.FindAllStringSubmatch(comment.ReplaceAllString(text, ""), -1) {
		if match[1] != "" {
			names[match[1]] = match[2] != ""
		}
	}
	return names
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for _, file := range []string{stack, asynqmon} {
		text := read(t, file)
		comments := strings.Join(comment.FindAllString(text, -1), "\n")
		names := variables(text)
		if len(names) < 3 {
			t.Errorf("%s: found only %v: is it still read right?", file, names)
		}
		for name, hasDefault := range names {
			if !hasDefault {
				t.Errorf("%s: $%s has no default", file, name)
			}
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(comments) {
				t.Errorf("%s: no comment says what %s is", file, name)
			}
		}
	}
}

func TestDemoEnv(t *testing.T) {
	t.Parallel()
	env, err := dotenv.Parse(strings.NewReader(read(t, demoEnv)))
	if err != nil {
		t.Fatal(err)
	}
	used := variables(read(t, stack))
	for name := range env {
		if _, ok := used[name]; !ok && !strings.HasPrefix(name, "COMPOSE_") {
			t.Errorf("%s sets %s, which %s does not use", demoEnv, name, stack)
		}
	}
	for name, secret := range demo(t).Secrets {
		if text, err := os.ReadFile(secret.File); err != nil {
			t.Error(err)
		} else if !strings.HasPrefix(string(text), "demo-") {
			t.Errorf("secret %s of the demo does not look like one: want it to begin with demo-", name)
		}
	}
}

// TestEnvExample: what it says are the defaults, but for what it chooses, and it leaves nothing out that is for real use.
func TestEnvExample(t *testing.T) {
	t.Parallel()
	const example = ".env.example"
	env, err := dotenv.Parse(strings.NewReader(read(t, example)))
	if err != nil {
		t.Fatal(err)
	}
	used := variables(read(t, stack) + read(t, asynqmon))
	for _, name := range []string{"REDIS_URL", "MAGIC_HOUR_BASE_URL", "FAKEHOUR_TIME_SCALE"} { // of Asynqmon alone, and of the demo
		delete(used, name)
	}
	for name := range env {
		if _, known := used[name]; !known && name != "COMPOSE_PROFILES" {
			t.Errorf("%s sets %s, which no compose file uses", example, name)
		}
	}
	for name := range used {
		if _, named := env[name]; !named {
			t.Errorf("%s does not name %s", example, name)
		}
	}
	chosen := load(t, files(t, nil), stack, []string{"COMPOSE_PROFILES=metrics,dashboard", "WORKERS=4"})
	dir := files(t, nil)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(read(t, example)), 0o600); err != nil {
		t.Fatal(err)
	}
	got := load(t, dir, stack, nil, cli.WithEnvFiles()) // as compose does: .env
	for name, service := range chosen.Services {
		if diff := cmp.Diff(service.Environment, got.Services[name].Environment); diff != "" {
			t.Errorf("%s (-defaults +%s):\n%s", name, example, diff)
		}
		read := got.Services[name]
		if want, scale := service.GetScale(), read.GetScale(); want != scale {
			t.Errorf("%s: got %d, want %d", name, scale, want)
		}
		if diff := cmp.Diff(service.Ports, read.Ports); diff != "" {
			t.Errorf("%s: ports (-defaults +%s):\n%s", name, example, diff)
		}
	}
}

func TestSecretsAreNobodyElses(t *testing.T) {
	t.Parallel()
	dir := files(t, nil)
	for name, secret := range load(t, dir, stack, nil).Secrets {
		if want := filepath.Join(dir, "secrets", name); secret.File != want {
			t.Errorf("%s: got file %s, want %s", name, secret.File, want)
		}
	}
	if !slices.Contains(strings.Split(read(t, ".gitignore"), "\n"), "/secrets/") {
		t.Error(".gitignore: want /secrets/")
	}
}

func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for name, service := range everything(t).Services {
		if service.Build == nil {
			got[name] = service.Image
		}
	}
	want := map[string]string{ // the versions that these tests know; asynqmon and versitygw as the go.mod files have them
		"asynqmon":   "hibiken/asynqmon:" + strings.TrimPrefix(required(t, "go.mod", "github.com/hibiken/asynqmon"), "v"),
		"grafana":    "grafana/grafana:12.2.1",
		"prometheus": "prom/prometheus:v3.13.2",
		"redis":      "redis:8.8-alpine",
		"versitygw":  "versity/versitygw:" + required(t, "tools/go.mod", "github.com/versity/versitygw"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// required is the version of a module in a go.mod file.
func required(t *testing.T, file, module string) string {
	t.Helper()
	match := regexp.MustCompile(`\b` + regexp.QuoteMeta(module) + ` (v\S+)`).FindStringSubmatch(read(t, file))
	if match == nil {
		t.Fatalf("%s does not require %s", file, module)
	}
	return match[1]
}

func TestServicesStayUp(t *testing.T) {
	t.Parallel()
	for name, service := range everything(t).Services {
		if want := map[bool]string{true: "no", false: "unless-stopped"}[name == "enqueue"]; service.Restart != want {
			t.Errorf("%s: got restart: %s, want %s", name, service.Restart, want)
		}
		for other, dependency := range service.DependsOn {
			if dependency.Condition != types.ServiceConditionHealthy {
				t.Errorf("%s: depends on %s: got %s, want it healthy", name, other, dependency.Condition)
			}
		}
	}
}

func TestServicesMayDoLittle(t *testing.T) {
	t.Parallel()
	root := map[string]bool{"versitygw": true} // its image has no other user
	for name, service := range everything(t).Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" || port.Published == "" || name == "worker" {
				t.Errorf("%s: has a port that others can reach, or of which there is only one: %+v", name, port)
			}
		}
		if user := strings.Split(service.User, ":")[0]; service.Build == nil && !root[name] && (user == "" || user == "root" || user == "0") {
			t.Errorf("%s: runs as %q, want a user that is not root", name, service.User) // of what is built here the Dockerfile says it
		}
		if service.ContainerName != "" {
			t.Errorf("%s: has a container_name, so there can be only one", name)
		}
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: got read_only %v, cap_drop %v, security_opt %v", name, service.ReadOnly, service.CapDrop, service.SecurityOpt)
		}
	}
}

func TestAsynqmonIsForThisMachine(t *testing.T) {
	t.Parallel()
	service := load(t, files(t, nil), asynqmon, nil).Services["asynqmon"]
	if len(service.Ports) != 1 || service.Ports[0].HostIP != "127.0.0.1" || service.Ports[0].Published != "8080" || service.Ports[0].Target != 8080 {
		t.Errorf("ports: got %+v, want 127.0.0.1:8080:8080", service.Ports)
	}
	got := map[string]string{}
	for name, value := range service.Environment {
		got[name] = *value
	}
	want := map[string]string{
		"REDIS_URL": "redis://host.docker.internal:6379/0", "READ_ONLY": "true", "MAX_PAYLOAD_LENGTH": "4000", "MAX_RESULT_LENGTH": "4000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"host.docker.internal": {"host-gateway"}}, maps.Collect(maps.All(service.ExtraHosts))); diff != "" {
		t.Errorf("extra_hosts (-want +got):\n%s", diff)
	}
	if service.HealthCheck != nil || len(service.DependsOn) > 0 {
		t.Error("got a healthcheck or dependencies: the image has no program to check with, and its file no other service")
	}
}

// A container that is killed before its worker has drained leaves a purchase of which nobody knows
// whether it was charged.
func TestWorkerMayDrain(t *testing.T) {
	t.Parallel()
	help := help(t, "worker")
	match := regexp.MustCompile(`a purchase under way gets up to (\w+);.*\(default: (\w+)\)`).FindStringSubmatch(help)
	if match == nil {
		t.Fatalf("the help no longer says how long a drain takes:\n%s", help)
	}
	worker := demo(t).Services["worker"]
	if worker.StopGracePeriod == nil {
		t.Fatal("no stop_grace_period")
	}
	if value := worker.Environment["HOURGLASS_DRAIN"]; value != nil && *value != "" {
		match = append(match, *value)
	}
	for _, drain := range match[1:] {
		d, err := time.ParseDuration(drain)
		if err != nil {
			t.Fatal(err)
		}
		if grace := time.Duration(*worker.StopGracePeriod); grace <= d {
			t.Errorf("stop_grace_period: got %v, want more than %v", grace, d)
		}
	}
}
