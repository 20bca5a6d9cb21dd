package testservers

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// Redis starts a redis-server that keeps nothing on disk and returns its address,
// "127.0.0.1:port". Further arguments go to the server: "--appendonly", "yes".
func Redis(t testing.TB, args ...string) string {
	t.Helper()
	return StartRedis(t, args...).Addr
}

// A RedisServer is a redis-server that can be taken away, and brought back at the same address
// with what it has on disk.
type RedisServer struct {
	Addr string // "127.0.0.1:port"

	t       testing.TB
	path    string
	args    func(port string) []string
	process *process
}

// StartRedis is Redis, for tests that do it harm.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	r := &RedisServer{t: t, path: Program(t, "redis-server")}
	dir := t.TempDir()
	r.args = func(port string) []string {
		return append([]string{
			"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
		}, args...)
	}
	r.Addr, r.process = serve(t, r.path, r.args, redisReady)
	return r
}

// Kill ends the server as a crash does.
func (r *RedisServer) Kill() { r.process.kill() }

// Restart starts a killed server again and waits until it answers. Further arguments come after
// those of the first start, and win.
func (r *RedisServer) Restart(args ...string) {
	r.t.Helper()
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.process, err = start(r.path, append(r.args(port), args...)...); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.process.kill)
	if err := r.process.wait(r.t.Context(), r.Addr, redisReady); err != nil {
		r.t.Fatalf("start %s again: %v", r.path, err)
	}
}

// redisReady asks for the process id: another server may have taken the port. It speaks the
// protocol itself, because a client would log every refused connection.
func redisReady(ctx context.Context, addr string, pid int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // fails on a closed connection only
	}
	if _, err := io.WriteString(conn, "INFO server\r\nQUIT\r\n"); err != nil {
		return err
	}
	info, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if !strings.Contains(string(info), fmt.Sprintf("\nprocess_id:%d\r\n", pid)) {
		return fmt.Errorf("no answer, or another redis-server's, at %s", addr)
	}
	return nil
}
