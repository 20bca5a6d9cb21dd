// Command http measures how many jobs a second enqueue serve tells the state of, beside a bare handler of net/http that
// reads the same key of the same Redis and does nothing else: what a user would write, and the floor.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

type bench struct {
	ctx       context.Context
	bin, dir  string
	redisAddr string
	endings   []func()
}

func run(ctx context.Context) error {
	bin := flag.String("bin", "bin", "folder of enqueue")
	seconds := flag.Int("seconds", 10, "how long each is asked")
	rounds := flag.Int("rounds", 3, "how often, in turn")
	flag.Parse()
	dir, err := os.MkdirTemp("", "bench-http-*")
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, bin: *bin, dir: dir}
	b.endings = append(b.endings, func() { _ = os.RemoveAll(dir) })
	defer func() {
		for i := len(b.endings) - 1; i >= 0; i-- {
			b.endings[i]()
		}
	}()
	if err := b.startRedis(); err != nil {
		return err
	}
	serve, token, err := b.startServe()
	if err != nil {
		return err
	}
	if err := b.submit(serve, token); err != nil {
		return err
	}
	bare, err := b.startBare()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(os.Stdout, "| round | | status reads/s | p50 | p99 |\n|---|---|---|---|---|"); err != nil {
		return err
	}
	for round := 1; round <= *rounds; round++ {
		for _, one := range []struct{ name, url string }{{"bare handler", bare}, {"enqueue serve", serve + "/v1/jobs/j1"}} {
			if err := b.measure(round, one.name, one.url, token, *seconds); err != nil {
				return err
			}
		}
	}
	return nil
}

// start runs a program until the end.
func (b *bench) start(stderr io.Writer, program string, args ...string) error {
	cmd := exec.CommandContext(b.ctx, program, args...) //nolint:gosec // whoever runs this names the folder
	cmd.Stderr = stderr
	cmd.Env = append(os.Environ(), "REDIS_URL=redis://"+b.redisAddr+"/0")
	if err := cmd.Start(); err != nil {
		return err
	}
	b.endings = append(b.endings, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return nil
}

func freeAddr(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// eventually waits until something answers.
func (b *bench) eventually(what string, answers func() bool) error {
	for end := time.After(10 * time.Second); !answers(); {
		select {
		case <-b.ctx.Done():
			return b.ctx.Err()
		case <-end:
			return fmt.Errorf("%s does not answer", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (b *bench) startRedis() (err error) {
	if b.redisAddr, err = freeAddr(b.ctx); err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(b.redisAddr)
	if err := b.start(nil, "redis-server", "--port", port, "--save", "", "--dir", b.dir); err != nil {
		return err
	}
	rdb := redis.NewClient(&redis.Options{Addr: b.redisAddr})
	b.endings = append(b.endings, func() { _ = rdb.Close() })
	return b.eventually("Redis", func() bool { return rdb.Ping(b.ctx).Err() == nil })
}

func (b *bench) startServe() (url, token string, err error) {
	addr, err := freeAddr(b.ctx)
	if err != nil {
		return "", "", err
	}
	enqueue, tokens := filepath.Join(b.bin, "enqueue"), filepath.Join(b.dir, "tokens.json")
	out, err := exec.CommandContext(b.ctx, enqueue, "token", "--tokens-file", tokens, "--name", "bench", "--tenant", "bench").Output() //nolint:gosec // the same
	if err != nil {
		return "", "", err
	}
	log, err := os.Create(filepath.Join(b.dir, "serve.log")) // it is written as in earnest
	if err != nil {
		return "", "", err
	}
	if err := b.start(log, enqueue, "serve", "--tokens-file", tokens, "--serve-addr", addr); err != nil {
		return "", "", err
	}
	url = "http://" + addr
	return url, strings.TrimSpace(string(out)), b.eventually("enqueue serve", func() bool { return b.ask(http.MethodGet, url+"/readyz", "", "") == nil })
}

func (b *bench) ask(method, url, token, body string) error {
	r, err := http.NewRequestWithContext(b.ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := (&http.Client{Timeout: 5 * time.Second}).Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}

func (b *bench) submit(serve, token string) error {
	return b.ask(http.MethodPost, serve+"/v1/jobs", token, `{"id":"j1","operation":"text-to-video","body":{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}}`)
}

// startBare serves the record as it is.
func (b *bench) startBare() (string, error) {
	rdb := redis.NewClient(&redis.Options{Addr: b.redisAddr})
	listener, err := new(net.ListenConfig).Listen(b.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := rdb.HGet(r.Context(), "hourglass:{j1}:record", "job").Bytes()
		if err != nil {
			http.Error(w, "no such job", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})}
	go func() { _ = server.Serve(listener) }()
	b.endings = append(b.endings, func() { _ = server.Close(); _ = rdb.Close() })
	return "http://" + listener.Addr().String(), nil
}

var (
	rate = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	p50  = regexp.MustCompile(`(?m)^ +50%\s+(\S+)`)
	p99  = regexp.MustCompile(`(?m)^ +99%\s+(\S+)`)
	bad  = regexp.MustCompile(`(?m)Non-2xx.*$|Socket errors.*$`)
)

// measure asks by wrk, over 32 connections.
func (b *bench) measure(round int, name, url, token string, seconds int) error {
	out, err := exec.CommandContext(b.ctx, "wrk", "-t1", "-c32", fmt.Sprintf("-d%ds", seconds), "--latency", "-H", "Authorization: Bearer "+token, url).CombinedOutput() //nolint:gosec // the same
	if err != nil {
		return fmt.Errorf("wrk: %w: %s", err, out)
	}
	if trouble := bad.Find(out); trouble != nil {
		return fmt.Errorf("%s: %s", name, trouble)
	}
	first := func(r *regexp.Regexp) string {
		found := r.FindSubmatch(out)
		if found == nil {
			return "?"
		}
		return string(bytes.TrimSpace(found[1]))
	}
	_, err = fmt.Fprintf(os.Stdout, "| %d | %s | %s | %s | %s |\n", round, name, first(rate), first(p50), first(p99))
	return err
}
