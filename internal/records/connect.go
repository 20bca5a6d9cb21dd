package records

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Connect returns a client of the Redis at rawURL; it does not speak to it yet. The schemes are
//
//	redis://[user:password@]host[:port][/database]
//	rediss://…                                            the same over TLS
//	redis-sentinel://…host1,host2,…[/database]?master_name=NAME
//	redis-cluster://…host1,host2,…
//	rediss-sentinel://…, rediss-cluster://…               over TLS
//
// Options of go-redis can follow as a query, and for sentinels that ask who is there sentinel_username
// and sentinel_password. Errors never hold the URL: it may hold a password.
func Connect(rawURL string) (redis.UniversalClient, error) {
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		return nil, errors.New("not a URL of Redis: want redis://host:port/database, rediss://, redis-sentinel:// or redis-cluster://")
	}
	security, _, _ := strings.Cut(scheme, "-") // redis or rediss
	switch scheme {
	case "redis", "rediss":
		o, err := redis.ParseURL(rawURL)
		if err != nil {
			return nil, withoutURL(err)
		}
		return redis.NewClient(o), nil
	case "redis-sentinel", "rediss-sentinel":
		return connectSentinel(oneHost(security, rest, "26379"))
	case "redis-cluster", "rediss-cluster":
		return connectCluster(oneHost(security, rest, "6379"))
	}
	return nil, fmt.Errorf("unknown scheme %s://: want redis://, rediss://, redis-sentinel:// or redis-cluster://, or the last two with rediss for TLS", scheme)
}

// connectSentinel reads user and password as those of Redis, as every other scheme does; go-redis
// takes them for the sentinels', and has no other place for those.
func connectSentinel(plainURL string) (redis.UniversalClient, error) {
	u, err := url.Parse(plainURL)
	if err != nil {
		return nil, withoutURL(err)
	}
	query := u.Query()
	user, password := query.Get("sentinel_username"), query.Get("sentinel_password")
	query.Del("sentinel_username")
	query.Del("sentinel_password")
	u.RawQuery = query.Encode()
	o, err := redis.ParseFailoverURL(u.String())
	if err != nil {
		return nil, withoutURL(err)
	}
	if o.MasterName == "" {
		return nil, errors.New("a redis-sentinel:// URL needs ?master_name=NAME")
	}
	if u.User != nil {
		o.Username, o.Password = o.SentinelUsername, o.SentinelPassword
	}
	o.SentinelUsername, o.SentinelPassword = user, password
	o.TLSConfig = eachByItsName(o.TLSConfig)
	return redis.NewFailoverClient(o), nil
}

// lookAround is how old the picture may be that a client has of a cluster. A node that is gone can't
// tell who has its slots now: by the default of go-redis they would be out of reach for a minute after
// the cluster has long gone on.
const lookAround = 3 * time.Second

func connectCluster(plainURL string) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(plainURL)
	if err != nil {
		return nil, withoutURL(err)
	}
	if _, rest, _ := strings.Cut(plainURL, "://"); !inDatabase0(rest) {
		return nil, errors.New("a Redis Cluster has database 0 alone: leave the number out of the URL")
	}
	o.ClusterStateReloadInterval = lookAround
	o.TLSConfig = eachByItsName(o.TLSConfig)
	return redis.NewClusterClient(o), nil
}

func inDatabase0(rest string) bool {
	rest, _, _ = strings.Cut(rest, "?")
	_, database, _ := strings.Cut(rest, "/")
	return database == "" || database == "0"
}

// eachByItsName lets the certificate of every server be checked against the name or address by which it
// was reached; go-redis wants the first one's of all.
func eachByItsName(c *tls.Config) *tls.Config {
	if c != nil {
		c.ServerName, c.MinVersion = "", tls.VersionTLS12
	}
	return c
}

// oneHost turns "user@host1,host2/0?x=y", which is no URL by the standard, into the form that
// go-redis reads: the first host in the authority, the others as addr parameters, and each with
// its port.
func oneHost(scheme, rest, port string) string {
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	first := ""
	for host := range strings.SplitSeq(hosts, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		if first == "" {
			first = host
		} else {
			query += "&addr=" + url.QueryEscape(host)
		}
	}
	return scheme + "://" + user + first + "/" + path + "?" + strings.TrimPrefix(query, "&")
}

// withoutURL keeps the reason of a parse error and drops the URL in it.
func withoutURL(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return fmt.Errorf("not a URL of Redis: %w", parse.Err)
	}
	return fmt.Errorf("not a URL of Redis: %w", err)
}

// Check tries whether Redis can be reached and takes a write: one that is full, or a replica, only
// answers reads.
func Check(ctx context.Context, rdb redis.UniversalClient) error {
	return rdb.Set(ctx, checked, "", time.Minute).Err()
}

// Quiet silences the log that the Redis client keeps by itself, for the whole process: what it
// has to say comes back as errors too. Called once, before the first client is made.
func Quiet() { redis.SetLogger(silence{}) }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Pipelined returns a client of the same Redis whose calls at one time share round trips: for
// programs that make many at once. It ends with rdb.
func Pipelined(rdb redis.UniversalClient) (redis.UniversalClient, error) {
	if c, can := rdb.(interface {
		AutoPipeline() (*redis.AutoPipeliner, error)
	}); can {
		return c.AutoPipeline()
	}
	return rdb, nil
}
