package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
)

// Every secret of a canary's run holds the word canary, which may turn up nowhere. What callers say of their inputs
// holds the word parrot: that lives in Redis, and nowhere else.
const (
	redisPassword = "canary/of:redis@1"
	sessionToken  = "canary-session-token"
	collectorKey  = "canary-of-the-collector"
	filmContent   = "canary-in-a-film"
	parrotURL     = "https://cdn.test/cover.png?token=parrot-token"
	parrotFilm    = "people/parrot.mp4"
	parrotHook    = "/hook?token=parrot-token"
	hookSigner    = "whsec_canarycanarycanarycanarycanarycanary"
)

// A canary is a fleet whose every secret is a marker, and in which much goes wrong.
type canary struct {
	*fleet
	traces *collector
	said   []string     // by programs that have ended, and by workers over HTTP
	echo   atomic.Int32 // what the API answers with, and shows what it was sent; 0: it works
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	f := newFleet(t, "--render", "500ms")
	c := &canary{fleet: f, traces: f.collect()}
	api, err := url.Parse(f.api)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(api)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := int(c.echo.Load()); status != 0 {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"code": "echo", "message": fmt.Sprintf("%s %s: no access with %s to %s/x?X-Fake-Signature=canary", r.URL, body, r.Header["Authorization"], f.api)})
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	if err := f.rdb.Do(t.Context(), "ACL", "SETUSER", "hourglass", "on", ">"+redisPassword, "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	if err := f.rdb.ConfigSet(t.Context(), "rdbcompression", "no").Err(); err != nil { // to read what DUMP returns
		t.Fatal(err)
	}
	f.env = append(f.env,
		"REDIS_URL="+c.redisAs(redisPassword), "MAGIC_HOUR_BASE_URL="+server.URL, "MAGIC_HOUR_WEBHOOK_SECRET="+hookSecret,
		"OTEL_EXPORTER_OTLP_HEADERS=authorization="+collectorKey, "HOURGLASS_LOG_LEVEL=debug", "HOURGLASS_INPUT_BUCKETS=callers",
		"HOURGLASS_CALLBACK_SECRET="+hookSigner, "HOURGLASS_CALLBACK_ALLOW=localhost")
	return c
}

func (c *canary) redisAs(password string) string {
	return strings.Replace(c.redisURL, "redis://", "redis://"+url.UserPassword("hourglass", password).String()+"@", 1)
}

// calls runs a program to its end and keeps what it says. Settings come before the arguments: NAME=value.
func (c *canary) calls(program string, args ...string) int {
	c.t.Helper()
	before := c.env
	for len(args) > 0 && strings.Contains(args[0], "=") && !strings.HasPrefix(args[0], "-") {
		c.env, args = append(append([]string{}, c.env...), args[0]), args[1:]
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	out, stderr, code := c.runUntil(ctx, program, "", args...)
	c.env = before
	c.said = append(c.said, program+" said: "+out+stderr)
	return code
}

// asks keeps what a worker says over HTTP.
func (c *canary) asks(worker string) {
	c.t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		var body []byte
		c.get(worker+path, &body)
		c.said = append(c.said, path+" says: "+string(body))
	}
}

// look searches everything for secrets, at one moment of the run.
func (c *canary) look(when string) {
	c.t.Helper()
	seen := map[string]string{"what was said": strings.Join(c.said, "\n"), "traces": c.traces.text()}
	for i, l := range c.logs[1:] { // the fake may say what it likes
		seen[fmt.Sprintf("log %d", i)] = l.text()
	}
	manifests, err := filepath.Glob(c.manifestFile("*"))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range manifests {
		text, err := os.ReadFile(name)
		if err != nil {
			c.t.Fatal(err)
		}
		seen[name] = string(text)
	}
	for where, text := range seen {
		c.finds(when, where, text, "parrot")
		c.finds(when, where, text, "canary")
	}
	for key, value := range c.dump() {
		c.finds(when, "Redis, "+key, value, "canary")
		if strings.Contains(key, ":result") {
			c.finds(when, "Redis, "+key, value, "parrot")
		}
	}
	if c.t.Failed() {
		c.t.FailNow() // the same secrets would be found again and again
	}
}

// finds reports a secret that a text holds.
func (c *canary) finds(when, where, text, word string) {
	c.t.Helper()
	for _, secret := range []string{word, "X-Fake-Signature", c.s3.SecretKey} {
		if i := strings.Index(strings.ToLower(text), strings.ToLower(secret)); i >= 0 {
			c.t.Errorf("%s: %s shows a secret: ...%q...", when, where, text[max(0, i-200):min(len(text), i+100)])
		}
	}
}

// dump returns all that Redis holds, by key. The results of tasks stand apart.
func (c *canary) dump() map[string]string {
	c.t.Helper()
	all := map[string]string{}
	keys := c.rdb.Scan(c.t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(c.t.Context()) {
		key := keys.Val()
		if value, err := c.rdb.Dump(c.t.Context(), key).Result(); err == nil { // else it has just gone
			all[key] = key + value
		}
		if result, err := c.rdb.HGet(c.t.Context(), key, "result").Result(); err == nil {
			all[key+":result"] = result
		}
	}
	if err := keys.Err(); err != nil || len(all) == 0 {
		c.t.Fatalf("%d keys, %v", len(all), err)
	}
	return all
}

// TestSecretsAreKept: whatever goes wrong, no secret is shown: not by a log at debug level, Redis, a worker's HTTP endpoints,
// manifests, traces, the command line or its help.
func TestSecretsAreKept(t *testing.T) {
	t.Parallel()
	c := newCanary(t)
	c.looksItself()
	worker, address := c.startWorker()
	c.sendWebhooks(address)
	c.works()
	c.look("all goes well")
	c.apiRefuses(worker)
	c.look("the API refuses")
	c.mediaFail()
	c.look("media fail")
	c.forgedWebhooks(address)
	c.asks(address)
	worker.signal(syscall.SIGTERM)
	if !worker.ends(time.Minute) {
		t.Fatal("the worker does not end")
	}
	c.look("at the end of the worker")
	c.storeRefuses()
	c.look("the store refuses")
	c.redisRefuses()
	c.wrongSettings()
	c.helps()
	c.look("at the end")
	if len(c.traces.all()) < 20 {
		t.Errorf("%d spans: were they sent?", len(c.traces.all()))
	}
}

// looksItself holds that a secret would be found: a test that looks in the wrong place is worth nothing.
func (c *canary) looksItself() {
	c.t.Helper()
	c.rdb.Set(c.t.Context(), "long", strings.Repeat("x", 1000)+redisPassword, 0)
	c.rdb.HSet(c.t.Context(), "short", "field", "X "+sessionToken)
	for _, key := range []string{"long", "short"} {
		if !strings.Contains(c.dump()[key], "canary") {
			c.t.Errorf("a secret in Redis would not be found: %q", c.dump()[key])
		}
	}
	c.rdb.Del(c.t.Context(), "long", "short")
}

// works lets jobs go all the way, with inputs of every kind.
func (c *canary) works() {
	c.t.Helper()
	if err := os.Mkdir(filepath.Join(c.s3.Dir, "callers"), 0o750); err != nil {
		c.t.Fatal(err)
	}
	callers := s3.New(s3.Options{
		BaseEndpoint: &c.s3.Endpoint, Region: c.s3.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(c.s3.AccessKey, c.s3.SecretKey, ""),
	})
	if _, err := callers.PutObject(c.t.Context(), &s3.PutObjectInput{Bucket: aws.String("callers"), Key: aws.String(parrotFilm), Body: strings.NewReader(filmContent)}); err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(c.s3.Dir), "film.mp4")
	if err := os.WriteFile(file, []byte(filmContent), 0o600); err != nil {
		c.t.Fatal(err)
	}
	film := func(id, source string) []string {
		return []string{"submit", "video-to-video", "--id", id, "--wait", "--set", "start_seconds=0", "--set", "end_seconds=5", "--set", "assets.video_source=file", "--set", "style.art_style=Minecraft", "--set", "assets.video_file_path=" + source}
	}
	c.ends(0, film("of-a-bucket", "s3://callers/"+parrotFilm)...)
	c.ends(0, film("of-this-machine", file)...)
	c.ends(0, "submit", "image-to-video", "--id", "of-a-url", "--wait", "--set", "end_seconds=5", "--set", "assets.image_file_path="+parrotURL)
	c.ends(0, "submit", "image-to-video", "--id", "of-a-url", "--set", "end_seconds=5", "--set", "assets.image_file_path="+parrotURL, "--json")
	c.ends(5, "submit", "image-to-video", "--id", "of-a-url", "--set", "end_seconds=10", "--set", "assets.image_file_path="+parrotURL)
	c.ends(0, c.voice("told-nobody", "--wait", "--notify-url", "http://localhost:1"+parrotHook)...)  // who does not answer
	c.ends(0, c.voice("told-in-here", "--wait", "--notify-url", "http://127.0.0.2:1"+parrotHook)...) // and must not be asked
	c.eventually("a notice is given up", func() bool { return strings.Contains(c.logs[len(c.logs)-1].text(), "notice given up") })
	c.ends(0, "status", "told-in-here", "--json")
	c.ends(0, "status", "of-a-url", "--json")
	c.ends(0, "list", "--json")
}

// ends runs enqueue and holds how it ends.
func (c *canary) ends(want int, args ...string) {
	c.t.Helper()
	if code := c.calls("enqueue", args...); code != want {
		c.t.Fatalf("enqueue %q: exit %d, want %d: %s", args, code, want, c.said[len(c.said)-1])
	}
}

func (c *canary) voice(id string, more ...string) []string {
	return append([]string{"submit", "ai-voice-generator", "--id", id, "--body", string(request(2).Body)}, more...)
}

// apiRefuses lets the API show what it was sent, in answers of every kind.
func (c *canary) apiRefuses(worker *log) {
	c.t.Helper()
	for id, status := range map[string]int32{"rejected-key": 401, "rejected-request": 422, "lost-answer": 500} {
		c.echo.Store(status)
		c.ends(0, c.voice(id)...)
		c.eventually(id+" is refused", func() bool {
			job, err := c.client.Job(c.t.Context(), id)
			return err == nil && (job.Hold != nil || job.State.Settled())
		})
		c.look(id)
		_ = c.calls("enqueue", "status", id, "--json")
		_ = c.calls("enqueue", "resolve", id, "--project", "p1")
		c.echo.Store(0)
		_ = c.calls("worker", "hold")
		_ = c.calls("worker", "release", "create")
	}
	if worker.find("fleet held") == "" {
		c.t.Error("a rejected key holds nobody")
	}
}

// mediaFail breaks downloads in ways that HTTP clients like to quote the URL of.
func (c *canary) mediaFail() {
	c.t.Helper()
	c.post("/_fake/faults", `[{"call":"download","do":"reset","times":2},{"call":"download","status":403,"shape":"xml","times":2},{"call":"download","status":500,"shape":"html"}]`)
	c.put("/_fake/behavior", `{"body":"truncated","body_times":1}`)
	c.ends(0, c.voice("bad-media", "--wait")...)
}

// forgedWebhooks sends events with a signature of somebody else, and with an old one.
func (c *canary) forgedWebhooks(address string) {
	c.t.Helper()
	now := strconv.FormatInt(time.Now().Unix(), 10)
	old := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	body := []byte(`{"type":"video.completed","payload":{"id":"p1","name":"canary","downloads":[{"url":"https://media.test/x?X-Fake-Signature=canary"}]}}`)
	for _, forged := range []struct{ secret, at string }{{"canary-of-somebody-else", now}, {hookSecret, old}} {
		req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, address+"/webhooks/magichour", bytes.NewReader(body))
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("magic-hour-event-timestamp", forged.at)
		req.Header.Set("magic-hour-event-signature", magichourtest.Sign(forged.secret, forged.at, body))
		var answer []byte
		if status := c.do(req, &answer); status != http.StatusUnauthorized {
			c.t.Errorf("a forged webhook: %d", status)
		}
		c.said = append(c.said, string(answer))
	}
}

// storeRefuses runs workers with a wrong key of the store, and with a token that it does not know; without the colours
// of a terminal.
func (c *canary) storeRefuses() {
	c.t.Helper()
	for id, setting := range map[string]string{"wrong-key": "AWS_SECRET_ACCESS_KEY=canary-of-the-store", "wrong-token": "AWS_SESSION_TOKEN=" + sessionToken} {
		before := c.env
		c.env = append(append([]string{}, before...), setting, "HOURGLASS_LOG_FORMAT=text")
		worker := c.start("worker")
		c.env = before
		c.ends(0, c.voice(id)...)
		if worker.find("to be tried again") == "" {
			c.t.Errorf("%s: the store takes it", id)
		}
		worker.signal(syscall.SIGTERM)
		if !worker.ends(time.Minute) {
			c.t.Error("the worker does not end")
		}
	}
}

// redisRefuses lets Redis refuse, be away, and be named wrong.
func (c *canary) redisRefuses() {
	c.t.Helper()
	wrong := c.redisAs("canary-wrong")
	refused, address := c.startWorker("REDIS_URL=" + wrong)
	c.asks(address)
	if refused.find("WRONGPASS") == "" {
		c.t.Error("the log does not say why Redis is not there")
	}
	for _, redisURL := range []string{wrong, "redis://u:canary@127.0.0.1:1/0", "redis://u:canary%zz@host", "http://u:canary@host", "redis-sentinel://u:canary@127.0.0.1:1?master_name=", "redis-cluster://u:canary@127.0.0.1:1"} {
		for _, args := range [][]string{c.voice("no-redis"), {"status", "no-redis"}} {
			if code := c.calls("enqueue", append([]string{"REDIS_URL=" + redisURL}, args...)...); code == 0 {
				c.t.Errorf("%s: exit 0", redisURL)
			}
		}
		_ = c.calls("worker", "REDIS_URL="+redisURL, "hold")
	}
}

// wrongSettings holds what is said of settings that are wrong, and have a secret in them or beside them.
func (c *canary) wrongSettings() {
	c.t.Helper()
	for _, setting := range []string{
		"MAGIC_HOUR_API_KEY=mhk\ncanary", "MAGIC_HOUR_BASE_URL=http://u:canary@host", "STORAGE_URL=s3://u:canary@media", "STORAGE_URL=s3://media?secret=canary",
		"MAGIC_HOUR_WEBHOOK_SECRET=canary,,canary", "OTEL_EXPORTER_OTLP_HEADERS=canary", "OTEL_EXPORTER_OTLP_ENDPOINT=u:canary@host", "HOURGLASS_STAGES=none",
	} {
		if code := c.calls("worker", setting, "--http-addr", "127.0.0.1:0"); code != 2 {
			c.t.Errorf("%q: exit %d, want 2", setting, code)
		}
	}
	// Nobody listens there.
	if code := c.calls("enqueue", append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:canary@127.0.0.1:1"}, c.voice("no-collector")...)...); code != 0 {
		c.t.Errorf("without a collector: exit %d", code)
	}
}

// helps reads the help of every command, with all secrets in the environment.
func (c *canary) helps() {
	c.t.Helper()
	for _, args := range [][]string{
		{"worker"}, {"worker", "healthcheck"}, {"worker", "hold"}, {"worker", "release"}, {"enqueue"}, {"enqueue", "submit"}, {"enqueue", "batch"}, {"enqueue", "status"}, {"enqueue", "wait"},
		{"enqueue", "list"}, {"enqueue", "cancel"}, {"enqueue", "retry"}, {"enqueue", "resolve"}, {"enqueue", "operations"}, {"enqueue", "schema"},
	} {
		if code := c.calls(args[0], append(args[1:], "--help")...); code != 0 {
			c.t.Errorf("%q --help: exit %d", args, code)
		}
	}
	_ = c.calls("worker", "--nonsense")
	_ = c.calls("enqueue", "submit", "--nonsense")
}
