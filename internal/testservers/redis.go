package testservers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
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
	door    Door
	secure  string // the address for TLS; empty: none
	path    string
	args    func(port string) []string
	process *process
}

// StartRedis is Redis, for tests that do it harm.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return startRedis(t, Door{}, func() []string { return args })
}

// StartRedisBehind starts a redis-server that lets in who the door lets in.
func StartRedisBehind(t testing.TB, door Door, args ...string) *RedisServer {
	t.Helper()
	return startRedis(t, door, func() []string { return args })
}

// startRedis starts a server with arguments that are made anew for each attempt: they may hold
// further ports.
func startRedis(t testing.TB, door Door, args func() []string) *RedisServer {
	t.Helper()
	r := &RedisServer{t: t, door: door, path: Program(t, "redis-server")}
	dir := t.TempDir()
	var made []string
	r.args = func(port string) []string {
		return append([]string{
			"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
		}, made...)
	}
	r.Addr, r.process = serve(t, r.path, func(port string) []string {
		made = args()
		if door.TLS != nil {
			secure := anyPort(t)
			r.secure = net.JoinHostPort("127.0.0.1", secure)
			made = append(made, "--tls-port", secure)
		}
		made = append(made, door.arguments()...)
		return r.args(port)
	}, door.ready)
	return r
}

func anyPort(t testing.TB) string {
	t.Helper()
	port, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// public is the address for clients.
func (r *RedisServer) public() string {
	if r.secure != "" {
		return r.secure
	}
	return r.Addr
}

// URL is the server's, for clients.
func (r *RedisServer) URL() string { return r.door.url("redis", r.public()) }

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
	if err := r.process.wait(r.t.Context(), r.Addr, r.door.ready); err != nil {
		r.t.Fatalf("start %s again: %v", r.path, err)
	}
}

// ready asks for the process id: another server may have taken the port. It speaks the
// protocol itself, because a client would log every refused connection.
func (d Door) ready(ctx context.Context, addr string, pid int) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second)) // fails on a closed connection only
	ask := "INFO server\r\n"
	if d.User != "" {
		ask = "AUTH " + d.User + " " + d.Password + "\r\n" + ask
	}
	if _, err := io.WriteString(conn, ask); err != nil {
		return err
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); { // a sentinel knows no QUIT, which would end the answer
		switch got, found := strings.CutPrefix(lines.Text(), "process_id:"); {
		case strings.HasPrefix(lines.Text(), "-"):
			return fmt.Errorf("%s says %s", addr, lines.Text())
		case found && got == strconv.Itoa(pid):
			return nil
		case found:
			return fmt.Errorf("another redis-server's answer at %s", addr)
		}
	}
	return fmt.Errorf("no answer at %s", addr)
}
