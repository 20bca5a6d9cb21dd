package records

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// TestSaveDurably holds the wait for a replica, on a real pair of servers: one that confirms, one
// that is frozen, and one that is gone.
func TestSaveDurably(t *testing.T) {
	t.Parallel()
	ctx, addr := t.Context(), testservers.Redis(t)
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = rdb.Close() }()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := redis.NewClient(&redis.Options{Addr: testservers.Redis(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"), ReadTimeout: time.Minute})
	defer func() { _ = replica.Close() }()
	waitFor(t, "the replica to follow", func() bool {
		info, err := replica.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})

	s := New(rdb)
	rev, err := s.SaveDurably(ctx, "j1", []byte(`{}`), Absent)
	if err != nil {
		t.Fatalf("with a replica that follows: %v", err)
	}
	frozen := make(chan error, 1)
	go func() { frozen <- replica.Do(ctx, "DEBUG", "SLEEP", "4").Err() }()
	waitFor(t, "the replica to freeze", func() bool {
		probe := redis.NewClient(&redis.Options{Addr: replica.Options().Addr, ReadTimeout: 50 * time.Millisecond, MaxRetries: -1})
		defer func() { _ = probe.Close() }()
		return probe.Ping(ctx).Err() != nil
	})
	if _, err := s.SaveDurably(ctx, "j1", []byte(`{"n":2}`), rev); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("with a replica that is frozen: got %v, want ErrUnconfirmed", err)
	}
	if err := <-frozen; err != nil {
		t.Fatal(err)
	}
	_ = replica.ShutdownNoSave(ctx).Err() // its answer is a closed connection
	waitFor(t, "the replica to be gone", func() bool {
		info, err := rdb.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "connected_slaves:0")
	})
	if _, err := s.SaveDurably(ctx, "j2", []byte(`{}`), Absent); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("with a replica that is gone: got %v, want ErrUnconfirmed", err)
	}
	if _, err := New(rdb).SaveDurably(ctx, "j2", []byte(`{}`), Absent); err != nil {
		t.Errorf("by a process that has never seen a replica: %v", err)
	}
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestSaveDurablyAfterAFailover: a node of a cluster that has just been promoted has had no replica itself, and confirms
// nothing all the same: it holds what others have confirmed, and may be lost like the one before it.
func TestSaveDurablyAfterAFailover(t *testing.T) {
	t.Parallel()
	c := testservers.StartCluster(t, testservers.Door{})
	rdb, err := Connect(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	s := New(rdb)
	rev, err := s.SaveDurably(t.Context(), "j1", []byte(`{}`), Absent)
	if err != nil {
		t.Fatal(err)
	}
	killed := c.Holder(t, recordKey("j1"))
	killed.Kill()
	waitFor(t, "a replica to take over, and refuse", func() bool {
		_, err = s.SaveDurably(t.Context(), "j1", []byte(`{"n":2}`), rev)
		return err == nil || errors.Is(err, ErrUnconfirmed)
	})
	if !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("on the node that was promoted: got %v, want ErrUnconfirmed", err)
	}
	if data, _, err := s.Load(t.Context(), "j1"); err != nil || string(data) != `{}` {
		t.Errorf("it was written before anybody could confirm it: %s (%v)", data, err)
	}
	killed.Restart()
	waitFor(t, "the node that is back to confirm", func() bool {
		if _, rev, err = s.Load(t.Context(), "j1"); err == nil { // a write that was not confirmed stands
			_, err = s.SaveDurably(t.Context(), "j1", []byte(`{"n":2}`), rev)
		}
		return err == nil
	})
}
