package records

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestConnect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, url string
		check     func(rdb redis.UniversalClient) bool
	}{
		{"user, password and database", "redis://ada:secret@127.0.0.1:7000/3", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.Client).Options()
			return o.Addr == "127.0.0.1:7000" && o.Username == "ada" && o.Password == "secret" && o.DB == 3
		}},
		{"TLS", "rediss://host", func(rdb redis.UniversalClient) bool {
			return rdb.(*redis.Client).Options().TLSConfig != nil
		}},
		{"sentinel", "redis-sentinel://:secret@a:1,b:2/4?master_name=m", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.Client).Options()
			return o.Password == "secret" && o.DB == 4
		}},
		{"sentinel, with user and password among the options", "redis-sentinel://a:1?master_name=m&username=ada&password=secret&sentinel_password=other", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.Client).Options()
			return o.Username == "ada" && o.Password == "secret"
		}},
		{"cluster, without ports", "redis-cluster://a,b", func(rdb redis.UniversalClient) bool {
			return strings.Join(rdb.(*redis.ClusterClient).Options().Addrs, " ") == "a:6379 b:6379"
		}},
		{"sentinel, without ports", "redis-sentinel://a,b?master_name=m", func(redis.UniversalClient) bool { return true }},
		{"cluster", "redis-cluster://ada:secret@a:1,b:2,c:3", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.ClusterClient).Options()
			return strings.Join(o.Addrs, " ") == "a:1 b:2 c:3" && o.Username == "ada" && o.Password == "secret" && o.TLSConfig == nil
		}},
		{"cluster over TLS, each node by its own name", "rediss-cluster://:secret@a:1,b:2/0", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.ClusterClient).Options()
			return o.Password == "secret" && o.TLSConfig != nil && o.TLSConfig.ServerName == "" && !o.TLSConfig.InsecureSkipVerify
		}},
		{"sentinel over TLS, each by its own name", "rediss-sentinel://a:1,b:2/4?master_name=m", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.Client).Options()
			return o.DB == 4 && o.TLSConfig != nil && o.TLSConfig.ServerName == "" && !o.TLSConfig.InsecureSkipVerify
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rdb, err := Connect(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rdb.Close() }()
			if !tt.check(rdb) {
				t.Errorf("options of %s are not those of the URL", tt.url)
			}
		})
	}
}

func TestConnectRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "localhost:6379", "http://:secret@host", "redis://:secret@host/notanumber", "redis-sentinel://:secret@host", "redis://:secret@host:port:port", "redis-cluster://:secret@a,b/3", "rediss-cache://:secret@a"} {
		_, err := Connect(bad)
		if err == nil {
			t.Errorf("%q: accepted", bad)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

// TestClusterGoesOn: a client finds out who has the slots of a node that is gone, soon after the cluster has.
func TestClusterGoesOn(t *testing.T) {
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
	c.Holder(t, recordKey("j1")).Kill()
	began := time.Now()
	waitFor(t, "the record to be saved again", func() bool {
		_, err := s.Save(t.Context(), "j1", []byte(`{"n":2}`), rev, 0)
		return err == nil
	})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}
