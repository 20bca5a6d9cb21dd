package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A plan is what is measured, and how.
type plan struct {
	large, small int64 // MiB, KiB
	files, runs  int
	versitygw    string
	peers        string
	only         []string
	dir          string            // for whatever is written
	addr         map[string]string // "source http" and so on
}

// A scene is a set of files on the way from one source to one store.
type scene struct {
	name     string
	work     work
	size     int64
	programs []program
	note     string // below its table
}

// A result is the runs of one program in one scene.
type result struct {
	seconds []float64
	cpu     []float64 // seconds of the processor, user and system
	peak    int64     // KiB, the most of all runs
	err     error
}

func median(numbers []float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}

func (p plan) measure(ctx context.Context, stdout, stderr io.Writer) error {
	var err error
	if p.dir, err = os.MkdirTemp("", "bench-copy-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(p.dir) }()
	stop, err := p.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	_, _ = fmt.Fprintf(stdout, "%s, %d processors, %s; %d MiB, and %d files of %d KiB; the middle of %d runs\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOARCH, p.large, p.files, p.small, p.runs)
	var failed error
	for _, s := range p.scenes() {
		if s.programs = p.asked(s); len(s.programs) == 0 {
			continue
		}
		results := make([]result, len(s.programs))
		for run := range p.runs { // interleaved: what disturbs the machine disturbs all
			for i, program := range s.programs {
				if results[i].err == nil && ctx.Err() == nil {
					p.once(ctx, s, program, run, &results[i], stderr)
				}
			}
		}
		failed = errors.Join(failed, writeTable(stdout, s, results))
	}
	failed = errors.Join(failed, p.wholeWorker(ctx, stdout), ctx.Err())
	_, _ = fmt.Fprint(stdout, notes)
	return failed
}

// notes are what is to be known of the tables.
const notes = `
All speak HTTP/1.1, as S3 does. By their defaults the two libraries of AWS hash every byte with SHA-256 as well where they go
over http, and s5cmd does so everywhere; ours and rclone do not. The libraries have parts of 8 MiB, four at a time, and 64
idle connections, as ours; rclone and s5cmd keep their own. No peak is shown that is less than this program's own, some 24
MiB: the system counts that, too, for a process that it has started.
`

// once runs a program once.
func (p plan) once(ctx context.Context, s scene, program program, run int, r *result, stderr io.Writer) {
	w := s.work
	w.prefix = strings.NewReplacer(" ", "-", ",", "", "|", "", ":", "").Replace(fmt.Sprintf("%s/%s-%d", s.name, program.name, run))
	command := program.command(p, w)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // the peers
	cmd.Env = p.environ(w)
	var said strings.Builder
	cmd.Stderr = &said
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began).Seconds()
	_ = os.RemoveAll(filepath.Join(p.dir, "data", "media", strings.SplitN(w.prefix, "/", 2)[0])) // versitygw keeps files
	if err != nil {
		r.err = fmt.Errorf("%s: %s: %w: %s", s.name, program.name, err, firstLines(said.String()))
		_, _ = fmt.Fprintln(stderr, r.err)
		return
	}
	r.seconds = append(r.seconds, took)
	r.cpu = append(r.cpu, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.peak = max(r.peak, usage.Maxrss)
	}
}

func firstLines(text string) string {
	const enough = 500
	return strings.TrimSpace(text[:min(len(text), enough)])
}

// writeTable writes the table of a scene: the first program is the floor.
func writeTable(stdout io.Writer, s scene, results []result) error {
	_, _ = fmt.Fprintf(stdout, "\n### %s\n\n| | seconds | x the floor | its CPU seconds | MB/s | peak MiB |\n|---|---|---|---|---|---|\n", s.name)
	var failed error
	for i, r := range results {
		name := strings.ReplaceAll(s.programs[i].name, "|", `\|`)
		if r.err != nil || len(r.seconds) == 0 {
			failed = errors.Join(failed, r.err)
			_, _ = fmt.Fprintf(stdout, "| %s | failed | | | | |\n", name)
			continue
		}
		floor := 0.0
		if results[0].err == nil && len(results[0].seconds) > 0 {
			floor = median(r.seconds) / median(results[0].seconds)
		}
		_, _ = fmt.Fprintf(stdout, "| %s | %.2f | %.2f | %.2f | %.0f | %d |\n",
			name, median(r.seconds), floor, median(r.cpu), float64(s.size)*float64(s.work.files)/1e6/median(r.seconds), r.peak>>10)
	}
	if s.note != "" {
		_, _ = fmt.Fprintf(stdout, "\n%s\n", s.note)
	}
	return failed
}

// start starts source and sink, and versitygw if there is one.
func (p *plan) start(ctx context.Context) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	server := exec.CommandContext(ctx, self, "serve", "-dir", p.dir) //nolint:gosec // ourselves
	server.Stderr = os.Stderr
	input, err := server.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	p.addr = map[string]string{}
	for lines := bufio.NewScanner(output); len(p.addr) < 4 && lines.Scan(); {
		name, addr, _ := strings.Cut(lines.Text(), " ")
		scheme, _, _ := strings.Cut(addr, ":")
		p.addr[name+" "+scheme] = addr
	}
	stopAll := func() {
		_ = input.Close()
		_ = server.Wait()
	}
	if len(p.addr) < 4 {
		stopAll()
		return nil, errors.New("source and sink did not start")
	}
	if p.versitygw == "" {
		return stopAll, nil
	}
	stopGateway, err := p.startGateway(ctx)
	if err != nil {
		stopAll()
		return nil, err
	}
	return func() { stopGateway(); stopAll() }, nil
}

const accessKey, secretKey = "bench", "bench-secret"

func (p *plan) startGateway(ctx context.Context) (stop func(), err error) {
	data, sidecar := filepath.Join(p.dir, "data"), filepath.Join(p.dir, "sidecar")
	if err := errors.Join(os.MkdirAll(filepath.Join(data, "media"), 0o750), os.MkdirAll(sidecar, 0o750)); err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	gateway := exec.CommandContext(ctx, p.versitygw, "--port", addr, "--access", accessKey, "--secret", secretKey, //nolint:gosec // the server that was named
		"--region", "us-east-1", "--quiet", "posix", "--sidecar", sidecar, data)
	gateway.Stderr = os.Stderr
	if err := gateway.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = gateway.Process.Signal(os.Interrupt)
		_ = gateway.Wait()
	}
	p.addr["versitygw http"] = "http://" + addr
	return stop, answers(ctx, addr)
}
