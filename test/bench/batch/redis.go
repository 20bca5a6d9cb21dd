package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
)

// startRedis starts a server that keeps nothing.
func (b *bench) startRedis(ctx context.Context, stderr io.Writer) (stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.addr = listener.Addr().String()
	_, port, _ := net.SplitHostPort(b.addr)
	if err := listener.Close(); err != nil {
		return nil, err
	}
	server := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", b.dir, "--loglevel", "warning") //nolint:gosec // our own folder
	server.Stderr = stderr
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	b.rdb = redis.NewClient(&redis.Options{Addr: b.addr, DialerRetries: 200, DialerRetryTimeout: 50 * time.Millisecond})
	stop = func() {
		_ = b.rdb.Close()
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	}
	if err := b.rdb.Ping(ctx).Err(); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

const body = `{"end_seconds":5,"style":{"prompt":"a tin robot waves from the window of a train that crosses a bridge at dawn"}}`

func id(n int) string { return fmt.Sprintf("clip-%07d", n) }

// lines writes a file of n jobs, bit by bit: the peak of a program that is started counts from that of its parent.
func (b *bench) lines(n int) (string, error) {
	name := filepath.Join(b.dir, fmt.Sprintf("%d.jsonl", n))
	file, err := os.Create(name)
	if err != nil {
		return "", err
	}
	to := bufio.NewWriter(file)
	for i := range n {
		_, _ = fmt.Fprintf(to, `{"id":"%s","operation":"text-to-video","body":%s}`+"\n", id(i), body)
	}
	return name, errors.Join(to.Flush(), file.Close())
}

func (b *bench) command(ctx context.Context, file string) *exec.Cmd {
	return exec.CommandContext(ctx, b.enqueue, "--redis-url", "redis://"+b.addr, "batch", file) //nolint:gosec // ours
}

// batch runs the program and returns its peak memory in KiB.
func (b *bench) batch(ctx context.Context, file string) (peak int64, err error) {
	cmd := b.command(ctx, file)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("enqueue batch: %w: %.500s", err, said.String())
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		peak = usage.Maxrss
	}
	return peak, nil
}

// halfway sends a signal when half of the ids are printed.
func (b *bench) halfway(ctx context.Context, file string, by syscall.Signal) (code int, took time.Duration, err error) {
	cmd := b.command(ctx, file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ids := bufio.NewScanner(out)
	for n := 0; n < b.jobs/2 && ids.Scan(); n++ {
	}
	began := time.Now()
	if err := cmd.Process.Signal(by); err != nil {
		return 0, 0, err
	}
	for ids.Scan() {
	}
	_ = cmd.Wait() // it was killed
	return cmd.ProcessState.ExitCode(), time.Since(began), nil
}

// create makes the task of a job, checked, as services do that enqueue by themselves.
func create(n int) (*asynq.Task, error) {
	return tasks.NewCreate(tasks.Request{ID: id(n), Operation: "text-to-video", Body: []byte(body)})
}

// copies makes tasks with the payload of ours, and checks nothing.
func copies() (func(n int) (*asynq.Task, error), error) {
	like, err := create(0)
	if err != nil {
		return nil, err
	}
	return func(n int) (*asynq.Task, error) {
		payload := strings.Replace(string(like.Payload()), id(0), id(n), 1)
		return asynq.NewTask(like.Type(), []byte(payload), asynq.Queue(tasks.StageCreate.Queue()), asynq.TaskID(id(n)+":create"), asynq.Retention(tasks.Retention)), nil
	}, nil
}

// bare enqueues tasks as services without Hourglass would.
func (b *bench) bare(ctx context.Context, goroutines int, task func(n int) (*asynq.Task, error)) error {
	rdb := redis.NewClient(&redis.Options{Addr: b.addr, PoolSize: goroutines})
	client := asynq.NewClientFromRedisClient(rdb)
	defer func() { _ = rdb.Close() }()
	going, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	numbers := make(chan int, goroutines)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for n := range numbers {
				t, err := task(n)
				if err == nil {
					_, err = client.EnqueueContext(going, t)
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	for n := range b.jobs {
		if going.Err() != nil {
			break
		}
		numbers <- n
	}
	close(numbers)
	all.Wait()
	return context.Cause(going)
}

// A census is what there is in Redis.
type census struct{ records, deadlines, tasks, distinct int }

func (c census) String() string {
	return fmt.Sprintf("%d records, %d deadlines, %d tasks of %d jobs", c.records, c.deadlines, c.tasks, c.distinct)
}

func (b *bench) count(ctx context.Context) (c census, err error) {
	keys := b.rdb.Scan(ctx, 0, "hourglass:*:record", 10_000).Iterator()
	seen := map[string]bool{} // SCAN may say a key twice
	for keys.Next(ctx) {
		seen[keys.Val()] = true
	}
	c.records = len(seen)
	pending, err := b.rdb.LRange(ctx, "asynq:{"+tasks.StageCreate.Queue()+"}:pending", 0, -1).Result()
	deadlines, deadlinesErr := b.rdb.ZCard(ctx, "hourglass:{fleet}:deadlines").Result()
	distinct := map[string]bool{}
	for _, task := range pending {
		distinct[task] = true
	}
	c.tasks, c.distinct, c.deadlines = len(pending), len(distinct), int(deadlines)
	return c, errors.Join(keys.Err(), err, deadlinesErr)
}
