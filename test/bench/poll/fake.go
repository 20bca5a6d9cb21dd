package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
)

// rendered is the operation of the runs against the fake: of all published medians about the one at which a run
// takes a minute or two.
const rendered = "ai-gif-generator"

const publishedMedian = 23.0 // seconds

// A setting is how the worker polls in a run.
type setting struct {
	name  string
	env   []string
	hooks bool
}

// againstFake runs the programs themselves: Redis, the fake API and a worker, for each setting anew.
func againstFake(ctx context.Context, stdout, stderr io.Writer, bin string, jobs int) error {
	pf(stdout, "\nThe programs themselves: `%s`, %d jobs submitted at once, times lognormal around 23 s, sigma %v; first with nothing learnt, then once more. From the log of the fake.\n\n", rendered, jobs, usualScatter)
	pf(stdout, "| the worker polls | polls per job | mean delay, s | p95 |\n|---|---|---|---|\n")
	for _, s := range []setting{
		{name: "every 3 s", env: []string{"HOURGLASS_POLL_INTERVAL=3s"}},
		{name: "by its plan", env: nil},
		{name: "by its plan, with webhooks", env: []string{"MAGIC_HOUR_WEBHOOK_SECRET=whsec_fake"}, hooks: true},
	} {
		if err := s.measure(ctx, stdout, stderr, bin, jobs); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (s setting) measure(ctx context.Context, stdout, stderr io.Writer, bin string, jobs int) error {
	dir, err := os.MkdirTemp("", "bench-poll-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return err
	}
	redisAddr, apiAddr, workerAddr := ports[0], ports[1], ports[2]
	_, redisPort, _ := net.SplitHostPort(redisAddr)
	stopRedis, err := start(ctx, stderr, dir, nil, "redis-server", "--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--dir", dir)
	if err != nil {
		return err
	}
	defer stopRedis()
	fake := []string{"--addr", apiAddr, "--media-addr", "127.0.0.1:0", "--log-level", "warn", "--output-size", "1000"}
	if s.hooks {
		fake = append(fake, "--webhook-url", "http://"+workerAddr+"/webhooks/magichour")
	}
	stopFake, err := start(ctx, stderr, dir, nil, filepath.Join(bin, "fakehour"), fake...)
	if err != nil {
		return err
	}
	defer stopFake()
	stopWorker, err := start(ctx, stderr, dir, append(s.env,
		"REDIS_URL=redis://"+redisAddr, "MAGIC_HOUR_API_KEY=any", "MAGIC_HOUR_BASE_URL=http://"+apiAddr,
		"STORAGE_URL=file://"+dir+"/media", "HOURGLASS_HTTP_ADDR="+workerAddr, "HOURGLASS_LOG_LEVEL=warn"),
		filepath.Join(bin, "worker"), "--create-concurrency", "32")
	if err != nil {
		return err
	}
	defer stopWorker()
	rdb := redis.NewClient(&redis.Options{Addr: redisAddr})
	defer func() { _ = rdb.Close() }()
	client := tasks.NewClient(rdb)
	took := map[string]time.Duration{}
	for i, round := range []string{"first", "again"} {
		if err := submit(ctx, client, round, jobs, uint64(i), took); err != nil {
			return err
		}
		t, err := tally(ctx, "http://"+apiAddr, client, round, jobs, took)
		if err != nil {
			return err
		}
		pf(stdout, "| %s, %s | %.2f | %.2f | %.2f |\n", s.name, round, t.polls, t.mean, t.p95)
	}
	return nil
}

// submit hands in jobs whose names tell the fake how long they render, and waits until all have ended.
func submit(ctx context.Context, client *tasks.Client, round string, jobs int, seed uint64, took map[string]time.Duration) error {
	random := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // the same at every run
	for i := range jobs {
		id := fmt.Sprintf("%s_%d", round, i)
		took[id] = seconds(publishedMedian * math.Exp(usualScatter*random.NormFloat64())).Truncate(time.Millisecond)
		body := fmt.Sprintf(`{"name":"%s [fake queued=0s render=%s]","style":{"prompt":"x"}}`, id, took[id])
		for deadline := time.Now().Add(10 * time.Second); ; {
			_, err := client.Submit(ctx, tasks.Request{ID: id, Operation: rendered, Body: []byte(body)})
			if err == nil {
				break
			}
			if time.Now().After(deadline) || ctx.Err() != nil {
				return err
			}
		}
	}
	for i := range jobs {
		job, err := client.Wait(ctx, fmt.Sprintf("%s_%d", round, i))
		if err != nil {
			return err
		}
		if job.State != tasks.Done {
			return fmt.Errorf("job %s is %s", job.ID, job.State)
		}
	}
	return nil
}

type costs struct{ polls, mean, p95 float64 }

// tally reads from the fake's ledger when each project was made, and when a GET first found it complete.
func tally(ctx context.Context, api string, client *tasks.Client, round string, jobs int, took map[string]time.Duration) (costs, error) {
	var ledger struct {
		Events []struct {
			At      time.Time
			Kind    string
			Project string
			Detail  string
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/_fake/ledger", nil)
	if err != nil {
		return costs{}, err
	}
	answer, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return costs{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(&ledger); err != nil {
		return costs{}, err
	}
	made, noticed, polls := map[string]time.Time{}, map[string]time.Time{}, map[string]int{}
	for _, e := range ledger.Events {
		if e.Kind == "create" {
			made[e.Project] = e.At
		}
		if e.Kind != "poll" || !noticed[e.Project].IsZero() {
			continue // download and cleanup ask as well
		}
		polls[e.Project]++
		if strings.HasPrefix(e.Detail, "complete") {
			noticed[e.Project] = e.At
		}
	}
	var c costs
	var delays []float64
	for i := range jobs {
		id := fmt.Sprintf("%s_%d", round, i)
		job, err := client.Job(ctx, id)
		if err != nil {
			return c, err
		}
		delay := noticed[job.ProjectID].Sub(made[job.ProjectID].Add(took[id])).Seconds()
		c.polls += float64(polls[job.ProjectID]) / float64(jobs)
		c.mean += delay / float64(jobs)
		delays = append(delays, delay)
	}
	slices.Sort(delays)
	c.p95 = delays[len(delays)*95/100]
	return c, nil
}

// start starts a program, and returns what ends it.
func start(ctx context.Context, stderr io.Writer, dir string, env []string, name string, args ...string) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // programs of this repository, and Redis
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			_, _ = fmt.Fprintln(stderr, filepath.Base(name)+":", lines.Text())
		}
		_ = cmd.Wait()
	}()
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}, nil
}

// freePorts finds addresses of loopback that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var addrs []string
	var errs []error
	for range n {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, l.Addr().String())
		defer func() { errs = append(errs, l.Close()) }()
	}
	return addrs, errors.Join(errs...)
}
