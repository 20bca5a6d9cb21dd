package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-290c2414/hourglass/tasks"
)

const callbackSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// serve starts enqueue serve with the tokens of a new file, and returns its URL and what makes tokens.
func (f *fleet) serve() (server *log, url string, token func(args ...string) string) {
	f.t.Helper()
	tokens := filepath.Join(f.t.TempDir(), "tokens.json")
	token = func(args ...string) string {
		out, stderr, code := f.enqueue(append([]string{"token", "--tokens-file", tokens}, args...)...)
		if code != 0 || strings.Contains(stderr, strings.TrimSpace(out)) {
			f.t.Fatalf("exit %d: %s", code, stderr)
		}
		return strings.TrimSpace(out)
	}
	token("--name", "first", "--tenant", "first")
	server = f.start("enqueue", "serve", "--tokens-file", tokens, "--serve-addr", "127.0.0.1:0")
	var started struct{ Addr string }
	if err := json.Unmarshal([]byte(server.find(`"serving"`)), &started); err != nil {
		f.t.Fatalf("it does not serve: %v\n%s", err, server.text())
	}
	return server, "http://" + started.Addr, token
}

// ask sends a request with a token, or with a cookie that holds it.
func (f *fleet) ask(method, url, token, body string) (int, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if value, isCookie := strings.CutPrefix(token, "cookie "); isCookie {
		r.AddCookie(&http.Cookie{Name: "hourglass_token", Value: value}) //nolint:gosec // of a request
	} else {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// TestServe: real services hand in jobs over HTTP, in Python and in Node, follow them, and are told by notices; a
// token that comes later counts, another tenant's job is not there, and the token itself is written nowhere.
func TestServe(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.startWorker("HOURGLASS_CALLBACK_SECRET="+callbackSecret, "HOURGLASS_CALLBACK_ALLOW=127.0.0.1")
	server, url, token := f.serve()
	acme := token("--name", "acme", "--tenant", "acme", "--credits-per-day", "500")
	rival := token("--name", "rival", "--tenant", "rival", "--scope", "read", "--scope", "submit")
	f.eventually("the new tokens count", func() bool { status, _ := f.ask("GET", url+"/v1/jobs", rival, ""); return status == 200 })

	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for language, files := range map[string][2]string{"python3": {"python/submit.py", "python/receive.py"}, "node": {"node/submit.mjs", "node/receive.mjs"}} {
		t.Run(language, func(t *testing.T) {
			program := interpreter(t, language)
			receiver := f.startForeign([]string{"HOURGLASS_CALLBACK_SECRET=" + callbackSecret}, program, filepath.Join(examples, files[1]), "127.0.0.1:0")
			hook := strings.TrimSpace(receiver.find("http://"))
			status, said := f.ask("POST", url+"/v1/jobs", acme, `{"id":"told_`+language+`","operation":"ai-image-generator","body":{"image_count":1,"style":{"prompt":"x"}},"options":{"notify":{"url":"`+hook+`"}}}`)
			if status != http.StatusAccepted {
				t.Fatalf("got %d %s", status, said)
			}
			run := func(args ...string) (string, string, error) {
				cmd := exec.CommandContext(t.Context(), program, append([]string{filepath.Join(examples, files[0])}, args...)...) //nolint:gosec // the examples
				cmd.Env = append(os.Environ(), "HOURGLASS_URL="+url, "HOURGLASS_TOKEN="+acme)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				return string(out), stderr.String(), err
			}
			out, stderr, err := run("by_"+language, "ai-image-generator", `{"image_count": 2, "style": {"prompt": "a tin robot"}}`)
			if err != nil || strings.Count(out, "s3://media/") != 2 || !strings.Contains(stderr, "done") {
				t.Errorf("%v: %q\n%s", err, out, stderr)
			}
			if _, stderr, err := run("wrong", "ai-image-generator", `{"style": {}}`); err == nil || !strings.Contains(stderr, "body.image_count: required") {
				t.Errorf("a bad request: %v\n%s", err, stderr)
			}
			var n tasks.Notice
			if err := json.Unmarshal([]byte(receiver.find("msg_")), &n); err != nil || n.Type != tasks.NoticeStored || n.Job.ID != "told_"+language {
				t.Errorf("told %+v, %v", n, err)
			}
			if status, _ := f.ask("POST", hook, "", `{"id":"forged"}`); status != http.StatusUnauthorized {
				t.Errorf("a forged notice: got %d", status)
			}
			if status, _ := f.ask("GET", url+"/v1/jobs/by_"+language, rival, ""); status != http.StatusNotFound {
				t.Errorf("a rival sees the job: %d", status)
			}
			if status, body := f.ask("GET", url+"/jobs/by_"+language+"/files/2", "cookie "+acme, ""); status != http.StatusOK || !strings.HasPrefix(body, "\x89PNG") {
				t.Errorf("a file on the page: got %d, %d bytes", status, len(body))
			}
			receiver.signal(syscall.SIGTERM)
		})
	}
	t.Run("go", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/go", "by_go")
		cmd.Dir, cmd.Env = "../..", append(os.Environ(), f.env...)
		if out, err := cmd.CombinedOutput(); err != nil || strings.Count(string(out), "s3://media/") != 2 {
			t.Errorf("%v: %s", err, out)
		}
	})
	server.signal(syscall.SIGTERM)
	if !server.ends(20*time.Second) || server.process.ProcessState.ExitCode() != 0 {
		t.Errorf("it ended with %v", server.process.ProcessState)
	}
	kept := server.text()
	for _, key := range f.rdb.Keys(t.Context(), "*").Val() {
		kept += key + f.rdb.Dump(t.Context(), key).Val()
	}
	if strings.Contains(kept, acme) || strings.Contains(kept, rival) || !strings.Contains(kept, "by_node") {
		t.Error("a token is written somewhere, or nothing was looked at")
	}
}

// interpreter finds a language. Without it the test is skipped, but not in CI.
func interpreter(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// startForeign starts a program that is not ours.
func (f *fleet) startForeign(env []string, program string, args ...string) *log {
	f.t.Helper()
	bin, before := f.bin, f.env
	defer func() { f.bin, f.env = bin, before }()
	f.bin, f.env = filepath.Dir(program), append(append([]string{}, before...), env...)
	return f.start(filepath.Base(program), args...)
}
