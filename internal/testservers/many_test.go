package testservers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// doors are the ways in that a Redis can have.
func doors(t *testing.T) map[string]testservers.Door {
	return map[string]testservers.Door{
		"open":         {},
		"user and TLS": {User: "ada", Password: "s3cret", TLS: testservers.NewCertificates(t)},
	}
}

func TestSentinels(t *testing.T) {
	t.Parallel()
	for name, door := range doors(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testservers.StartSentinels(t, door)
			hosts, _, _ := strings.Cut(s.URL(), "/0?")
			hosts = hosts[strings.LastIndexAny(hosts, "@/")+1:]
			o := &redis.FailoverOptions{MasterName: "hourglass", SentinelAddrs: strings.Split(hosts, ","), Username: door.User, Password: door.Password, SentinelUsername: door.User, SentinelPassword: door.Password}
			if door.TLS != nil {
				o.TLSConfig = door.TLS.Trust(t)
			}
			rdb := redis.NewFailoverClient(o)
			defer rdb.Close()
			survives(t, rdb, s.Primary)
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	for name, door := range doors(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testservers.StartCluster(t, door)
			hosts := c.URL()[strings.LastIndexAny(c.URL(), "@/")+1:]
			o := &redis.ClusterOptions{Addrs: strings.Split(hosts, ","), Username: door.User, Password: door.Password, ClusterStateReloadInterval: time.Second}
			if door.TLS != nil {
				o.TLSConfig = door.TLS.Trust(t)
			}
			rdb := redis.NewClusterClient(o)
			defer rdb.Close()
			survives(t, rdb, c.Holder(t, "key"))
		})
	}
}

// survives writes a key, kills the server that has it, and wants it to be there and to be changed again.
func survives(t *testing.T, rdb redis.UniversalClient, holder *testservers.RedisServer) {
	t.Helper()
	if err := rdb.Set(t.Context(), "key", "before", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := confirmed(t.Context(), rdb); err != nil {
		t.Fatal(err)
	}
	holder.Kill()
	var err error
	for range 600 { // each try takes a while
		if err = rdb.Append(t.Context(), "key", ", after").Err(); err == nil {
			break
		}
	}
	if got := rdb.Get(t.Context(), "key").Val(); err != nil || !strings.HasPrefix(got, "before, after") {
		t.Errorf("after the primary was killed: got %q, %v", got, err)
	}
}

// confirmed waits until the replica has the key as well.
func confirmed(ctx context.Context, rdb redis.UniversalClient) error {
	one, ok := rdb.(*redis.Client)
	if cluster, is := rdb.(*redis.ClusterClient); is {
		var err error
		if one, err = cluster.MasterForKey(ctx, "key"); err != nil {
			return err
		}
		ok = true
	}
	if !ok {
		return redis.ErrClosed
	}
	conn := one.Conn()
	defer conn.Close()
	if err := conn.Set(ctx, "key", "before", 0).Err(); err != nil {
		return err
	}
	return conn.Do(ctx, "WAIT", 1, 5000).Err()
}
