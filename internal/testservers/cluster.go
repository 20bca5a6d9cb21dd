package testservers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A Cluster is a Redis Cluster.
type Cluster struct {
	door      Door
	primaries int            // at the start
	nodes     []*RedisServer // these, and then their replicas
	clients   []*redis.Client
}

const slots = 16384

// StartCluster starts three primaries with a replica each, which takes the place of its primary when
// that is gone for some two seconds.
func StartCluster(t testing.TB, door Door) *Cluster {
	t.Helper()
	return startCluster(t, door, 3, 3)
}

// ClusterOfOne starts a cluster of one node, which has all slots: it refuses what a larger one refuses. It
// returns its address.
func ClusterOfOne(t testing.TB) string {
	t.Helper()
	return startCluster(t, Door{}, 1, 0).nodes[0].Addr
}

func startCluster(t testing.TB, door Door, primaries, replicas int) *Cluster {
	t.Helper()
	c := &Cluster{door: door, primaries: primaries}
	for range primaries + replicas {
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
	for i, rdb := range c.clients[:c.primaries] {
		from, to := slots*i/c.primaries, slots*(i+1)/c.primaries-1
		c.must(t, rdb.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", from, to))
	}
	replicas := c.clients[c.primaries:]
	for i, replica := range replicas {
		id, err := c.clients[i].ClusterMyID(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "a replica has its primary", func() error { // which it must know to have slots
			return replica.ClusterReplicate(t.Context(), id).Err()
		})
	}
	for _, rdb := range c.clients {
		eventually(t, "the cluster is complete", func() error {
			return has(rdb.ClusterInfo(t.Context()), "cluster_state:ok", fmt.Sprintf("cluster_slots_ok:%d", slots), fmt.Sprintf("cluster_size:%d", c.primaries))
		})
		eventually(t, "every node knows all replicas", func() error {
			nodes, err := rdb.ClusterNodes(t.Context()).Result()
			if err == nil && strings.Count(nodes, "slave") != len(replicas) {
				err = fmt.Errorf("got %s", nodes)
			}
			return err
		})
	}
	for _, replica := range replicas {
		eventually(t, "the replica is linked", func() error {
			return has(replica.Info(t.Context(), "replication"), "master_link_status:up")
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
	for _, node := range c.nodes[:c.primaries] {
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
	for i := range c.primaries {
		if int(slot) < slots*(i+1)/c.primaries {
			return c.nodes[i]
		}
	}
	t.Fatalf("no node has slot %d", slot)
	return nil
}
