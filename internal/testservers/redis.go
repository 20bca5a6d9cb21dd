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
	path, dir := Program(t, "redis-server"), t.TempDir()
	return serve(t, path, func(port string) []string {
		return append([]string{
			"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no",
		}, args...)
	}, redisReady)
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
