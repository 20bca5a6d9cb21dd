package deploy

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/test/chromium"
)

// batch is what an operator may have at a time: files that are stored, a render that takes long, one that fails, and
// an input whose URL is signed.
const batch = `
{"id":"tin_robot","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}}
{"id":"robot_portraits","operation":"ai-image-generator","body":{"image_count":4,"style":{"prompt":"a tin robot, four times"}}}
{"id":"robot_speaks","operation":"ai-voice-generator","body":{"style":{"prompt":"Good evening, I am a tin robot.","voice_name":"Morgan Freeman"}}}
{"id":"robot_walks","operation":"image-to-video","body":{"end_seconds":4,"assets":{"image_file_path":"https://example.com/robot.png?X-Amz-Signature=canary"}}}
{"id":"faceless_robot","operation":"face-swap","body":{"name":"[fake error=no_source_face]","start_seconds":0,"end_seconds":3,"assets":{"video_source":"file","video_file_path":"https://example.com/robot.mp4","image_file_path":"https://example.com/portrait.png"}}}
{"id":"long_film","operation":"text-to-video","body":{"name":"[fake queued=1s render=1h]","end_seconds":60,"style":{"prompt":"a tin robot walks home"}}}
{"id":"longer_film","operation":"text-to-video","body":{"name":"[fake queued=1h render=2h]","end_seconds":60,"style":{"prompt":"a tin robot walks back"}}}
`

// TestBrowser: the stack of the compose files, with Asynqmon's own program, as a person sees it in a browser. Only
// `make browser` looks.
func TestBrowser(t *testing.T) {
	t.Parallel()
	if os.Getenv("HOURGLASS_BROWSER") == "" {
		t.Skip("make browser sets HOURGLASS_BROWSER")
	}
	r := newStack(t, everything(t))
	r.tries("asynqmon", r.startAsynqmon)
	r.tries("dashboard", r.startDashboard)
	r.batch()
	page := chromium.Open(t, 1280, 1200)
	see := func(name, url string, texts ...string) {
		t.Helper()
		page.Do(t, chromedp.Navigate(url))
		page.Shows(t, texts...)
		page.Shoot(t, "stack-"+name)
	}
	see("queues", r.asynqmon, "hourglass-create", "hourglass-poll", "hourglass-download", "hourglass-cleanup")
	see("scheduled", r.asynqmon+"/queues/hourglass-poll?status=scheduled",
		"long_film:poll:", "longer_film:poll:", `"operation": "text-to-video"`, `"poll": `, `"status": "rendering"`, `"status": "queued"`)
	see("downloads", r.asynqmon+"/queues/hourglass-download?status=completed",
		"robot_portraits:download", `"state": "cleaning"`, `"media/robot_portraits/4.png"`, `"bytes": `)
	see("archived", r.asynqmon+"/queues/hourglass-poll?status=archived",
		"faceless_robot:poll:", "no_source_face: The render failed", "the credits were refunded; mend the input")
	see("done", r.asynqmon+"/queues/hourglass-cleanup/tasks/robot_portraits:cleanup",
		`"state": "done"`, `"credits_charged": `, `"polls": `, `"remote": "deleted"`)

	login := strings.Replace(r.dashboard, "http://", "http://hourglass:demo-dashboard-password@", 1)
	see("dashboard", login+"/queues/hourglass-create?status=completed",
		"robot_walks:create", `"image_file_path": "https://example.com/robot.png?[redacted]"`)
	if strings.Contains(page.Text(t), "canary") {
		t.Error("the dashboard shows a signature")
	}
	if got := r.get(r.dashboard + "/api/queues"); got != http.StatusUnauthorized {
		t.Errorf("without the password: got %d", got)
	}
}

// newStack starts what the demo has: Redis, the S3 server, the fake API and the workers.
func newStack(t *testing.T, project *types.Project) *running {
	t.Helper()
	r := &running{t: t, project: project, bin: image(t), folders: map[string]string{}}
	r.tries("redis", r.startRedis)
	r.tries("versitygw", r.startVersityGW)
	r.tries("fakehour", r.startFakehour)
	worker := r.project.Services["worker"]
	for range worker.GetScale() {
		r.tries("worker", r.startWorker)
	}
	return r
}

// startAsynqmon starts the program that the image holds. In its container it listens at the port that it takes
// without being told.
func (r *running) startAsynqmon(service types.ServiceConfig) bool {
	r.t.Helper()
	port := freePort(r.t)
	r.asynqmon = "http://127.0.0.1:" + port
	p := start(r.t, service.Name, append(r.environ(service), "PORT="+port), testservers.Program(r.t, "asynqmon"))
	return p.until("answers", func() bool { return r.get(r.asynqmon+"/api/queues") == http.StatusOK })
}

func (r *running) startDashboard(service types.ServiceConfig) bool {
	r.t.Helper()
	r.replaced = append([]string{"--addr=:8080", "--addr=127.0.0.1:0"}, r.replaced...)
	_, url, found := strings.Cut(strings.TrimSpace(r.ours(service).line("dashboard, read-only: ")), "read-only: ")
	r.dashboard = url
	return found
}

// batch submits the batch, and waits for those that end.
func (r *running) batch() {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "jobs.jsonl")
	if err := os.WriteFile(path, []byte(strings.TrimSpace(batch)+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.enqueue("batch", path)
	service := r.project.Services["enqueue"]
	cmd := exec.CommandContext(r.t.Context(), filepath.Join(r.bin, service.Entrypoint[0]), //nolint:gosec // our own program
		"wait", "tin_robot", "robot_portraits", "robot_speaks", "robot_walks", "faceless_robot", "--timeout", patience.String())
	cmd.Env = r.environ(service)
	output, _ := cmd.CombinedOutput()
	if code, done := cmd.ProcessState.ExitCode(), strings.Count(string(output), "\tdone\t"); code != 3 || done != 4 { // one has failed
		r.t.Fatalf("exit %d with %d jobs done, want 3 with 4:\n%s", code, done, output)
	}
	_, _ = fmt.Fprintln(r.t.Output(), string(output))
}
