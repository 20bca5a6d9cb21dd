package testservers

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Sentinels is a Redis with one replica, and three sentinels that put it in the primary's place
// when that is gone for a second.
type Sentinels struct {
	Primary, Replica *RedisServer

	door  Door
	addrs []string
}

const (
	watched = "hourglass" // the name by which the sentinels know the primary
	settled = time.Minute // for servers to find each other, on a busy machine
)

// StartSentinels starts all five and waits until they know each other.
func StartSentinels(t testing.TB, door Door) *Sentinels {
	t.Helper()
	s := &Sentinels{door: door, Primary: StartRedisBehind(t, door)}
	host, port, _ := net.SplitHostPort(s.Primary.public())
	s.Replica = StartRedisBehind(t, door, "--replicaof", host, port)
	replica := door.client(t, s.Replica.Addr)
	eventually(t, "the replica is linked", func() error {
		return has(replica.Info(t.Context(), "replication"), "master_link_status:up")
	})
	for range 3 {
		s.addrs = append(s.addrs, s.startSentinel(t, host, port))
	}
	return s
}

// startSentinel gives a sentinel a file of its own: it keeps there what it learns.
func (s *Sentinels) startSentinel(t testing.TB, host, port string) string {
	t.Helper()
	lines := []string{
		"sentinel monitor " + watched + " " + host + " " + port + " 2",
		"sentinel down-after-milliseconds " + watched + " 1000",
		"sentinel failover-timeout " + watched + " 5000",
	}
	if s.door.User != "" {
		lines = append(lines, "sentinel auth-user "+watched+" "+s.door.User, "sentinel auth-pass "+watched+" "+s.door.Password,
			"sentinel sentinel-user "+s.door.User, "sentinel sentinel-pass "+s.door.Password)
	}
	secure := ""
	addr, _ := serve(t, Program(t, "redis-server"), func(own string) []string {
		dir := t.TempDir()
		file := filepath.Join(dir, "sentinel.conf")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append([]string{file, "--sentinel", "--port", own, "--bind", "127.0.0.1", "--dir", dir}, s.door.arguments()...)
		if s.door.TLS != nil {
			secure = anyPort(t)
			args = append(args, "--tls-port", secure)
		}
		return args
	}, s.door.ready)
	rdb := s.door.client(t, addr)
	eventually(t, "a sentinel has found the replica", func() error {
		return is(rdb.Do(t.Context(), "SENTINEL", "MASTER", watched), "num-slaves", "1")
	})
	t.Cleanup(func() { _ = rdb.Close() })
	if secure != "" {
		return net.JoinHostPort("127.0.0.1", secure)
	}
	return addr
}

// URL is for clients. The sentinels know the same user as Redis.
func (s *Sentinels) URL() string {
	query := url.Values{"master_name": {watched}}
	if s.door.User != "" {
		query.Set("sentinel_username", s.door.User)
		query.Set("sentinel_password", s.door.Password)
	}
	return s.door.url("redis-sentinel", strings.Join(s.addrs, ",")) + "/0?" + query.Encode()
}

// eventually waits until nothing is wrong any more.
func eventually(t testing.TB, what string, wrong func() error) {
	t.Helper()
	limit := time.After(settled)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := wrong()
		if err == nil {
			return
		}
		select {
		case <-limit:
			t.Fatalf("not within %v: %s: %v", settled, what, err)
		case <-tick.C:
		}
	}
}

// has tells what is missing in an answer.
func has(answer *redis.StringCmd, lines ...string) error {
	text, err := answer.Result()
	for _, line := range lines {
		if err == nil && !strings.Contains(text, line+"\r\n") {
			err = fmt.Errorf("no %s in %s", line, text)
		}
	}
	return err
}

// is tells when a field of an answer that lists names and values is another.
func is(answer *redis.Cmd, field, want string) error {
	fields, err := answer.Result()
	if err != nil {
		return err
	}
	if got := fmt.Sprint(valueOf(fields, field)); got != want {
		return fmt.Errorf("%s: got %s, want %s", field, got, want)
	}
	return nil
}

func valueOf(fields any, name string) any {
	switch fields := fields.(type) {
	case map[any]any:
		return fields[name]
	case []any:
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == name {
				return fields[i+1]
			}
		}
	}
	return nil
}
