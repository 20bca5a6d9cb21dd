package records

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
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
		{"cluster, without ports", "redis-cluster://a,b", func(rdb redis.UniversalClient) bool {
			return strings.Join(rdb.(*redis.ClusterClient).Options().Addrs, " ") == "a:6379 b:6379"
		}},
		{"sentinel, without ports", "redis-sentinel://a,b?master_name=m", func(redis.UniversalClient) bool { return true }},
		{"cluster", "redis-cluster://ada:secret@a:1,b:2,c:3", func(rdb redis.UniversalClient) bool {
			o := rdb.(*redis.ClusterClient).Options()
			return strings.Join(o.Addrs, " ") == "a:1 b:2 c:3" && o.Username == "ada" && o.Password == "secret"
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
	for _, bad := range []string{"", "localhost:6379", "http://:secret@host", "redis://:secret@host/notanumber", "redis-sentinel://:secret@host", "redis://:secret@host:port:port"} {
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
