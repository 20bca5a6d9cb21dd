package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// A running stack is what compose would run, as processes of this machine: with the arguments and
// environments of the compose file, in which only names of hosts, ports and paths are replaced.
type running struct {
	t        *testing.T
	project  *types.Project
	bin      string            // of the image
	replaced []string          // pairs for strings.NewReplacer, of all services
	folders  map[string]string // of volumes
	workers  []string          // their addresses
}

// TestStack is the demo without containers: a job, from the command line into the bucket's folder.
func TestStack(t *testing.T) {
	t.Parallel()
	r := &running{t: t, project: demo(t), bin: image(t), folders: map[string]string{}}
	r.tries("redis", r.startRedis)
	r.tries("versitygw", r.startVersityGW)
	r.tries("fakehour", r.startFakehour)
	worker := r.project.Services["worker"]
	for range worker.GetScale() {
		r.tries("worker", r.startWorker)
	}

	said := r.enqueue("submit", "ai-image-generator", "--set", "image_count=2", "--set", `style.prompt="a tin robot"`, "--id", "robot-1", "--wait")
	if !strings.HasPrefix(said, "robot-1\tai-image-generator\tdone\t") {
		t.Errorf("got %s, want the job to be done", said)
	}
	files := regexp.MustCompile(`(?m)^ +s3://(\S+)\t(\d+) bytes`).FindAllStringSubmatch(said, -1)
	if len(files) != 2 {
		t.Fatalf("got %s, want two files", said)
	}
	for _, file := range files {
		info, err := os.Stat(filepath.Join(r.folders["media"], file[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(info.Size()); got != file[2] {
			t.Errorf("%s: got %s bytes in the volume, want %s", file[1], got, file[2])
		}
	}
	r.checkMetrics()
}

// tries starts a service, and once more where it ended at once: its port may have been taken.
func (r *running) tries(name string, start func(types.ServiceConfig) bool) {
	r.t.Helper()
	for range attempts {
		if start(r.project.Services[name]) {
			return
		}
	}
	r.t.Fatalf("%s ended at once, %d times", name, attempts)
}

// startRedis needs no port in its arguments in a container; here it gets one.
func (r *running) startRedis(service types.ServiceConfig) bool {
	r.t.Helper()
	port := r.listensAt("127.0.0.1", "redis:6379")
	dir := r.volume(service, "redis", "/data")
	line := append(arguments(r.t, service), "--dir", dir, "--bind", "127.0.0.1", "--port", port)
	p := start(r.t, service.Name, r.environ(service), testservers.Program(r.t, line[0]), line[1:]...)

	check := service.HealthCheck.Test
	if !slices.Equal(check[:2], []string{"CMD", "redis-cli"}) {
		r.t.Fatalf("healthcheck: got %v, want redis-cli", check)
	}
	says := func(want string, args ...string) bool {
		cmd := exec.CommandContext(r.t.Context(), testservers.Program(r.t, "redis-cli"), append([]string{"-p", port}, args...)...) //nolint:gosec // Redis' own
		output, err := cmd.CombinedOutput()
		return err == nil && string(output) == want
	}
	healthy := p.until("is healthy", func() bool {
		return says("PONG\n", check[2:]...) && says("dir\n"+dir+"\n", "CONFIG", "GET", "dir") // and is not another one
	})
	for name, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes"} {
		if healthy && !says(name+"\n"+want+"\n", "CONFIG", "GET", name) {
			r.t.Fatalf("redis: %s is not %s", name, want)
		}
	}
	return healthy
}

// startVersityGW gives it a name for its address, as it has one in compose: where the address is a
// number, the SDK puts the bucket into the path whatever S3_PATH_STYLE says.
func (r *running) startVersityGW(service types.ServiceConfig) bool {
	r.t.Helper()
	r.listensAt("localhost", "versitygw:7070", ":7070", "127.0.0.1:7070")
	r.volume(service, "media", "/data")
	gateway := testservers.Program(r.t, "versitygw")
	line := r.here(service, arguments(r.t, service)...)
	environ := append(r.environ(service), "PATH="+filepath.Dir(gateway)+":"+os.Getenv("PATH"))
	p := start(r.t, service.Name, environ, line[0], line[1:]...)

	check := r.here(service, service.HealthCheck.Test...)
	if want := []string{"CMD", "wget", "-q", "-O", "/dev/null"}; !slices.Equal(check[:len(check)-1], want) {
		r.t.Fatalf("healthcheck: got %v, want %v and a URL", check, want) // wget need not be here
	}
	return p.until("is healthy", func() bool { return r.get(check[len(check)-1]) == http.StatusOK })
}

func (r *running) startFakehour(service types.ServiceConfig) bool {
	r.t.Helper()
	r.listensAt("127.0.0.1", "fakehour:8421", ":8421")
	r.listensAt("127.0.0.1", "fakehour:8422", ":8422")
	return r.ours(service).line(`"api":`) != ""
}

func (r *running) startWorker(service types.ServiceConfig) bool {
	r.t.Helper()
	p := r.ours(service)
	var started struct{ Addr string }
	if err := json.Unmarshal([]byte(p.line(`"worker started"`)), &started); err != nil {
		return false
	}
	check := service.HealthCheck.Test
	if len(check) < 2 || check[0] != "CMD" {
		r.t.Fatalf("healthcheck: got %v, want a program: the image has no shell", check)
	}
	r.workers = append(r.workers, started.Addr)
	return p.until("is healthy", func() bool {
		cmd := exec.CommandContext(r.t.Context(), filepath.Join(r.bin, check[1]), check[2:]...) //nolint:gosec // our own program
		cmd.Env = []string{"HOURGLASS_HTTP_ADDR=" + started.Addr}
		return cmd.Run() == nil
	})
}

// ours starts a program of the image.
func (r *running) ours(service types.ServiceConfig) *process {
	r.t.Helper()
	line := r.here(service, arguments(r.t, service)...)
	return start(r.t, service.Name, r.environ(service), filepath.Join(r.bin, line[0]), line[1:]...)
}

// enqueue is docker compose run --rm enqueue.
func (r *running) enqueue(args ...string) string {
	r.t.Helper()
	service := r.project.Services["enqueue"]
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, service.Entrypoint[0]), args...) //nolint:gosec // our own program
	cmd.Env = r.environ(service)
	cmd.Stderr = &strings.Builder{}
	output, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("enqueue %v: %v\n%s%s", args, err, output, cmd.Stderr)
	}
	return string(output)
}

// listensAt chooses a port of a host for what the compose file calls by these names.
func (r *running) listensAt(host string, names ...string) string {
	r.t.Helper()
	port := freePort(r.t)
	for _, name := range names {
		r.replaced = append([]string{name, host + ":" + port}, r.replaced...) // the latest wins
	}
	return port
}

// volume makes the folder that stands for a volume, which must be mounted at the path.
func (r *running) volume(service types.ServiceConfig, name, at string) string {
	r.t.Helper()
	mounted := func(v types.ServiceVolumeConfig) bool {
		return v.Type == types.VolumeTypeVolume && v.Source == name && v.Target == at
	}
	if len(service.Volumes) != 1 || !mounted(service.Volumes[0]) {
		r.t.Fatalf("%s: got volumes %v, want %s at %s", service.Name, service.Volumes, name, at)
	}
	r.folders[name] = r.t.TempDir()
	return r.folders[name]
}

// here replaces what is different on this machine. A service finds only the secrets and the
// volumes that it was given.
func (r *running) here(service types.ServiceConfig, texts ...string) []string {
	pairs := append(slices.Clone(r.replaced), ":8420", "127.0.0.1:0")
	for _, secret := range service.Secrets {
		pairs = append(pairs, "/run/secrets/"+secret.Source, r.project.Secrets[secret.Source].File)
	}
	for _, volume := range service.Volumes {
		pairs = append(pairs, volume.Target, r.folders[volume.Source])
	}
	replacer := strings.NewReplacer(pairs...)
	replaced := make([]string, 0, len(texts))
	for _, text := range texts {
		replaced = append(replaced, replacer.Replace(text))
	}
	return replaced
}

// environ is the environment of a service and nothing of this machine's.
func (r *running) environ(service types.ServiceConfig) []string {
	var environ []string
	for name, value := range service.Environment {
		environ = append(environ, r.here(service, name+"="+*value)...)
	}
	return environ
}

// get returns the status of an answer, or 0 without one.
func (r *running) get(url string) int {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}
