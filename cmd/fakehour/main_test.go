package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-290c2414/hourglass/internal/settings"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// fakehour runs the program and returns its addresses. It is ended with the test, and must
// end well.
func fakehour(t *testing.T, args ...string) addresses {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	var stderr bytes.Buffer
	go func() {
		err := run(ctx, append([]string{"fakehour", "--addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0"}, args...), stdout, &stderr)
		_ = stdout.CloseWithError(err)
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	var where addresses
	if !lines.Scan() {
		t.Fatal(lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &where); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if lines.Scan() {
			t.Errorf("a second line: %s", lines.Text())
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !strings.Contains(stderr.String(), "stopped") {
			t.Errorf("log: %s", &stderr)
		}
	})
	return where
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anything")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestRun(t *testing.T) {
	t.Parallel()
	where := fakehour(t, "--render", "0s", "--credits", "0", "--media-url", "http://media.test/")
	if where.Media != "http://media.test" {
		t.Errorf("media: %s", where.Media)
	}
	const body = `{"style":{"prompt":"x","voice_name":"x"}}`
	if status, answer := call(t, "POST", where.API+"/v1/ai-voice-generator", body); status != 402 {
		t.Errorf("without credits: %d %s", status, answer)
	}
	call(t, "PUT", where.API+"/_fake/credits", `{"credits":10}`)
	status, answer := call(t, "POST", where.API+"/v1/ai-voice-generator", body)
	var created struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &created); err != nil || status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	_, answer = call(t, "GET", where.API+"/v1/audio-projects/"+created.ID, "")
	if !strings.Contains(answer, `"complete"`) || !strings.Contains(answer, `"http://media.test/`) {
		t.Errorf("got %s", answer)
	}
}

func TestWebhooksAreSent(t *testing.T) {
	t.Parallel()
	sink := fakehour(t) // any server will do: it answers 404, and the event comes again
	where := fakehour(t, "--render", "0s", "--webhook-url", sink.API+"/hook")
	call(t, "POST", where.API+"/v1/ai-voice-generator", `{"style":{"prompt":"x","voice_name":"x"}}`)
	deadline := time.After(10 * time.Second)
	for {
		if _, totals := call(t, "GET", where.API+"/_fake/totals", ""); !strings.Contains(totals, `"webhooks":0`) {
			return
		}
		select {
		case <-deadline:
			t.Fatal("no webhook")
		default:
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"fakehour", "--help"}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(stdout.String(), "FAKEHOUR_OUTPUT_SIZE") || stderr.Len() > 0 {
		t.Errorf("got %s %s", &stdout, &stderr)
	}
}

func TestVariables(t *testing.T) {
	t.Setenv("FAKEHOUR_TIME_SCALE", "0.25")
	t.Setenv("FAKEHOUR_DELETED_AS", "disabled")
	chosen, err := parse(t.Context(), []string{"fakehour", "--deleted-as", "404"}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if chosen.fake.TimeScale != 0.25 || chosen.fake.DeletedAs != "404" || chosen.fake.Seed == 0 {
		t.Errorf("got %+v", chosen.fake)
	}
	t.Setenv("FAKEHOUR_TIME_SCALE", "fast")
	if _, err := parse(t.Context(), []string{"fakehour"}, io.Discard, io.Discard); err == nil {
		t.Error("a time scale of fast was taken")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"--nothing", "extra", "--time-scale -1", "--spread -1", "--output-size -1", "--url-ttl 0s", "--credits many",
		"--deleted-as gone", "--base-path v1", "--log-level loud",
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), append([]string{"fakehour"}, strings.Fields(args)...), &stdout, &stderr)
		if !errors.Is(err, settings.ErrUsage) || stdout.Len() > 0 {
			t.Errorf("%s: %v, stdout %q", args, err, &stdout)
		}
	}
}

func TestTakenPortIsNoUsageError(t *testing.T) {
	t.Parallel()
	where := fakehour(t)
	err := run(t.Context(), []string{"fakehour", "--addr", strings.TrimPrefix(where.API, "http://")}, io.Discard, io.Discard)
	if err == nil || errors.Is(err, settings.ErrUsage) {
		t.Errorf("got %v", err)
	}
}
