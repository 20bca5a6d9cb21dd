package testservers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A Cluster is a Redis Cluster of three primaries with a replica each, one of which takes the place
// of its primary when that is gone for some two seconds.
type Cluster struct {
	door    Door
	nodes   []*RedisServer // the first three began as primaries
	clients []*redis.Client
}

const (
	primaries = 3
	slots     = 16384
)

// StartCluster starts six servers and makes a cluster of them.
func StartCluster(t testing.TB, door Door) *Cluster {
	t.Helper()
	c := &Cluster{door: door}
	for range 2 * primaries {
		node := startRedis(t, door, func() []string {
			args := []string{
				"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", anyPort(t),
				"--cluster-node-timeout", "1500", "--repl-ping-replica-period", "1", "--cluster-replica-validity-factor", "0",
			}
			if door.TLS != nil {
				args = append(args, "--tls-cluster", "yes")
			}
			return args
		})
		c.nodes = append(c.nodes, node)
		c.clients = append(c.clients, door.client(t, node.Addr))
	}
	c.meet(t)
	c.share(t)
	return c
}

// meet introduces the nodes to each other.
func (c *Cluster) meet(t testing.TB) {
	t.Helper()
	for i, rdb := range c.clients {
		c.must(t, rdb.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1))
		ports, err := rdb.ConfigGet(t.Context(), "cluster-port").Result()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue // it knows itself
		}
		host, port, _ := strings.Cut(c.nodes[i].public(), ":")
		c.must(t, c.clients[0].Do(t.Context(), "CLUSTER", "MEET", host, port, ports["cluster-port"]))
	}
	for _, rdb := range c.clients {
		eventually(t, "the nodes know each other", func() error {
			return has(rdb.ClusterInfo(t.Context()), fmt.Sprintf("cluster_known_nodes:%d", len(c.clients)))
		})
	}
}

// share gives the primaries their slots and replicas, and waits until every node knows.
func (c *Cluster) share(t testing.TB) {
	t.Helper()
	for i, rdb := range c.clients[:primaries] {
		from, to := slots*i/primaries, slots*(i+1)/primaries-1
		c.must(t, rdb.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", from, to))
		id, err := rdb.ClusterMyID(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		replica := c.clients[i+primaries]
		eventually(t, "a replica has its primary", func() error { // which it must know to have slots
			return replica.ClusterReplicate(t.Context(), id).Err()
		})
	}
	for i, rdb := range c.clients {
		eventually(t, "the cluster is complete", func() error {
			return has(rdb.ClusterInfo(t.Context()), "cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slots), fmt.Sprintf("cluster_size:%d", primaries))
		})
		if i >= primaries {
			eventually(t, "the replica is linked", func() error {
				return has(rdb.Info(t.Context(), "replication"), "master_link_status:up")
			})
		}
		eventually(t, "every node knows three replicas", func() error {
			nodes, err := rdb.ClusterNodes(t.Context()).Result()
			if err == nil && strings.Count(nodes, "slave") != primaries {
				err = fmt.Errorf("got %s", nodes)
			}
			return err
		})
	}
}

func (c *Cluster) must(t testing.TB, answer *redis.Cmd) {
	t.Helper()
	if err := answer.Err(); err != nil {
		t.Fatal(err)
	}
}

// URL is for clients. It names the primaries.
func (c *Cluster) URL() string {
	var addrs []string
	for _, node := range c.nodes[:primaries] {
		addrs = append(addrs, node.public())
	}
	return c.door.url("redis-cluster", strings.Join(addrs, ","))
}

// Holder is the node that was given the slot of a key at the start.
func (c *Cluster) Holder(t testing.TB, key string) *RedisServer {
	t.Helper()
	slot, err := c.clients[0].ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	for i := range primaries {
		if int(slot) < slots*(i+1)/primaries {
			return c.nodes[i]
		}
	}
	t.Fatalf("no node has slot %d", slot)
	return nil
}
