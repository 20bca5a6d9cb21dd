package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// A program is one way to copy.
type program struct {
	name    string
	command func(p plan, w work) []string
}

func self(name string) program {
	return program{name, func(_ plan, w work) []string {
		path, err := os.Executable()
		if err != nil {
			path = os.Args[0]
		}
		return append([]string{path, name}, w.args()...)
	}}
}

// curl reads and keeps nothing: nobody can copy faster than that.
var curl = program{"curl to /dev/null", func(p plan, w work) []string {
	if w.files == 1 {
		return []string{"curl", "-sSf", "--cacert", filepath.Join(p.dir, certName), "-o", "/dev/null", w.url(0)}
	}
	return []string{"curl", "-sSf", "--cacert", filepath.Join(p.dir, certName), "-Z", "--parallel-immediate", "--parallel-max", fmt.Sprint(w.atOnce), "-o", "/dev/null", fmt.Sprintf("%s/[0-%d]", w.source, w.files-1)}
}}

// rclone copies from a URL by itself.
var rclone = program{"rclone copyurl", func(p plan, w work) []string {
	command := []string{filepath.Join(p.peers, "rclone"), "copyurl", "--config", "/dev/null", "--s3-no-check-bucket"}
	if w.files == 1 {
		return append(command, w.url(0), "bench:media/"+w.prefix+"/"+w.key(0))
	}
	list := filepath.Join(p.dir, "urls.csv")
	var text strings.Builder
	for n := range w.files {
		_, _ = fmt.Fprintf(&text, "%s,%s\n", w.url(n), w.key(n))
	}
	if err := os.WriteFile(list, []byte(text.String()), 0o600); err != nil {
		return []string{"false"}
	}
	return append(command, "--transfers", fmt.Sprint(w.atOnce), "--urls", list, "bench:media/"+w.prefix)
}}

// s5cmdPipe is what people write in shell scripts.
var s5cmdPipe = program{"curl | s5cmd pipe", func(p plan, w work) []string {
	one := fmt.Sprintf(`curl -sSf --cacert %s %s/"$n" | %s --endpoint-url %s pipe s3://media/%s/j"$n"/1.mp4`, filepath.Join(p.dir, certName), w.source, filepath.Join(p.peers, "s5cmd"), w.endpoint, w.prefix)
	return []string{"bash", "-ec", fmt.Sprintf("set -o pipefail; for n in $(seq 0 %d); do %s; done", w.files-1, one)}
}}

// s5cmdLocal need not fetch anything: its files are on the disk.
var s5cmdLocal = program{"s5cmd cp of local files", func(p plan, w work) []string {
	return []string{filepath.Join(p.peers, "s5cmd"), "--endpoint-url", w.endpoint, "--numworkers", fmt.Sprint(w.atOnce), "cp", filepath.Join(p.dir, "files") + "/", "s3://media/" + w.prefix + "/"}
}}

// scenes are what can be measured with what is there.
func (p plan) scenes() []scene {
	stores := []struct{ name, scheme, store string }{
		{"null sink over http", "http", "sink http"}, {"null sink over TLS", "https", "sink https"}, {"versitygw over http", "http", "versitygw http"},
	}
	var scenes []scene
	for _, s := range stores {
		endpoint, found := p.addr[s.store]
		if !found {
			continue
		}
		large := work{source: fmt.Sprintf("%s/%d", p.addr["source "+s.scheme], p.large<<20), endpoint: endpoint, files: 1, atOnce: 1}
		small := work{source: fmt.Sprintf("%s/%d", p.addr["source "+s.scheme], p.small<<10), endpoint: endpoint, files: p.files, atOnce: 32}
		scenes = append(scenes,
			scene{"large: " + s.name, large, p.large << 20, p.programs(false), ""},
			scene{"small: " + s.name, small, p.small << 10, p.programs(true), ""})
	}
	return append(scenes, p.manyAtOnce())
}

// manyAtOnce want far more memory than there is.
func (p plan) manyAtOnce() scene {
	const copies = 32
	size := min(64, p.large)
	source := fmt.Sprintf("%s/%d", p.addr["source http"], size<<20)
	return scene{
		name: fmt.Sprintf("memory: %d copies of %d MiB at once, null sink over http", copies, size),
		work: work{source: source, endpoint: p.addr["sink http"], files: copies, atOnce: copies},
		size: size << 20, programs: []program{self("ours")},
		note: fmt.Sprintf("Its bound: %d MiB of HOURGLASS_COPY_MEMORY, and %d MiB for all else.", storage.DefaultCopyMemory>>20, besides),
	}
}

// besides is what a process may have in memory beside its copies, in MiB.
const besides = 40

func (p plan) programs(small bool) []program {
	programs := []program{curl, self("ours"), self("manager"), self("transfermanager")}
	if _, err := os.Stat(filepath.Join(p.peers, "rclone")); err == nil {
		programs = append(programs, rclone)
	}
	if _, err := os.Stat(filepath.Join(p.peers, "s5cmd")); err == nil {
		programs = append(programs, s5cmdPipe)
		if small && p.localFiles() == nil {
			programs = append(programs, s5cmdLocal)
		}
	}
	return programs
}

// localFiles writes the small files to the disk, once.
func (p plan) localFiles() error {
	dir := filepath.Join(p.dir, "files")
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	block := newSource().block[:p.small<<10]
	errs := []error{os.Mkdir(dir, 0o750)}
	for n := range p.files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, fmt.Sprint(n)), block, 0o600))
	}
	return errors.Join(errs...)
}

// environ is what all programs find.
func (p plan) environ(w work) []string {
	return append(os.Environ(),
		"AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_REGION=us-east-1",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"SSL_CERT_FILE="+filepath.Join(p.dir, certName), "AWS_CA_BUNDLE="+filepath.Join(p.dir, certName),
		"RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Other", "RCLONE_CONFIG_BENCH_ENV_AUTH=true",
		"RCLONE_CONFIG_BENCH_ENDPOINT="+w.endpoint, "RCLONE_CA_CERT="+filepath.Join(p.dir, certName),
	)
}

func freeAddr(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until somebody listens.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
