package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// wantedPeak is what a whole worker should need at most for one large file, in MiB.
const wantedPeak = 96

// wholeWorker measures the memory of a worker as people run it: one job with one large file, from the API to the
// null sink, until it is done.
func (p plan) wholeWorker(ctx context.Context, stdout io.Writer) error {
	name := fmt.Sprintf("worker: a whole one, one job with a file of %d MiB", p.large)
	if !p.wanted(name, "ours") {
		return nil
	}
	_, _ = fmt.Fprintf(stdout, "\n### %s\n\n", name)
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		_, _ = fmt.Fprintln(stdout, "not measured: no redis-server")
		return nil
	}
	peak, err := p.peakOfAWorker(ctx, redis)
	if err != nil {
		_, _ = fmt.Fprintln(stdout, "failed")
		return fmt.Errorf("worker: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "peak: %d MiB; wanted: at most %d MiB\n", peak>>10, wantedPeak)
	return err
}

// peakOfAWorker is in KiB.
func (p plan) peakOfAWorker(ctx context.Context, redis string) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bin := filepath.Join(p.dir, "bin")
	build := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "./cmd/worker", "./cmd/fakehour", "./cmd/enqueue") //nolint:gosec // our own programs
	build.Dir = filepath.Join("..", "..")
	if said, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w: %s", err, firstLines(string(said)))
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return 0, err
	}
	_, port, _ := net.SplitHostPort(addr)
	env := append(p.environ(work{}), "REDIS_URL=redis://"+addr+"/0", "MAGIC_HOUR_API_KEY=bench", "STORAGE_URL=s3://media/worker", "S3_PATH_STYLE=true",
		"AWS_ENDPOINT_URL_S3="+p.addr["sink http"], "HOURGLASS_HTTP_ADDR=127.0.0.1:0", "HOURGLASS_POLL_INTERVAL=1s")
	_, stop, err := background(ctx, env, redis, "--port", port, "--bind", "127.0.0.1", "--dir", p.dir, "--save", "", "--appendonly", "no")
	if err != nil {
		return 0, err
	}
	defer stop()
	if err := answers(ctx, addr); err != nil {
		return 0, err
	}
	api, stop, err := background(ctx, env, filepath.Join(bin, "fakehour"), "--addr", "127.0.0.1:0", "--media-addr", "127.0.0.1:0", "--render", "1ms", "--output-size", fmt.Sprint(p.large<<20))
	if err != nil {
		return 0, err
	}
	defer stop()
	var listening struct{ API string }
	if err := json.NewDecoder(api.output).Decode(&listening); err != nil {
		return 0, fmt.Errorf("fakehour: %w", err)
	}
	worker, stop, err := background(ctx, append(env, "MAGIC_HOUR_BASE_URL="+listening.API), filepath.Join(bin, "worker"))
	if err != nil {
		return 0, err
	}
	defer stop()
	for _, args := range [][]string{
		{"submit", "text-to-video", "--id", "bench", "--body", `{"end_seconds":5,"style":{"prompt":"a tin robot"}}`},
		{"wait", "--timeout", "10m", "bench"},
	} {
		enqueue := exec.CommandContext(ctx, filepath.Join(bin, "enqueue"), args...) //nolint:gosec // our own program
		enqueue.Env = env
		if said, err := enqueue.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("enqueue %s: %w: %s", args[0], err, firstLines(string(said)))
		}
	}
	return highWater(worker.pid)
}

// A process is one that runs beside.
type process struct {
	pid    int
	output io.Reader // of fakehour, its first line
}

// background runs a program until it is stopped.
func background(ctx context.Context, env []string, path string, args ...string) (*process, func(), error) {
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // ours, and redis-server
	cmd.Env = env
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &process{cmd.Process.Pid, output}, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, output)
		_ = cmd.Wait()
	}, nil
}

// highWater is the most memory that a process had, in KiB.
func highWater(pid int) (int64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if number, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			return strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(number, "kB")), 10, 64)
		}
	}
	return 0, errors.New("/proc does not say how much memory it had")
}
