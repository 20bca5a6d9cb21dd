package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// A someRedis is one way to have a Redis.
type someRedis struct {
	name  string
	door  testservers.Door
	start func(*testing.T, testservers.Door) (url string)
}

func everyRedis(t *testing.T) []someRedis {
	t.Helper()
	one := func(t *testing.T, door testservers.Door) string {
		t.Helper()
		return testservers.StartRedisBehind(t, door).URL() + "/3"
	}
	sentinels := func(t *testing.T, door testservers.Door) string {
		t.Helper()
		return testservers.StartSentinels(t, door).URL()
	}
	cluster := func(t *testing.T, door testservers.Door) string {
		t.Helper()
		return testservers.StartCluster(t, door).URL()
	}
	user := testservers.Door{User: "ada", Password: "p@ss/w:rd"}
	secure := user
	secure.TLS = testservers.NewCertificates(t)
	return []someRedis{
		{"user, password and database", user, one},
		{"TLS", secure, one},
		{"sentinels", user, sentinels},
		{"sentinels over TLS", secure, sentinels},
		{"cluster", testservers.Door{}, cluster},
		{"cluster over TLS", secure, cluster},
	}
}

// TestEveryRedis lets the programs do all that they do with a Redis, on each sort of it.
func TestEveryRedis(t *testing.T) {
	t.Parallel()
	for _, r := range everyRedis(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			f := fleetOnAny(t, r.start(t, r.door), r.door)
			f.startFake("--render", "10ms")
			f.startWorker("HOURGLASS_MAX_RENDERS=3", "HOURGLASS_API_RATE=200")
			if out, stderr, code := f.enqueue("submit", "ai-image-generator", "--id", "job-1", "--body", string(request(1).Body), "--wait"); code != 0 {
				t.Fatalf("submit: exit %d: %s%s", code, out, stderr)
			}
			const jobs = 12
			f.batch(jobs)
			out, stderr, code := f.enqueue(append([]string{"wait", "--timeout", "1m", "--json"}, ids(jobs)...)...)
			if code != 0 {
				t.Fatalf("wait: exit %d: %s%s", code, out, stderr)
			}
			f.checkRoad(out, jobs)
			if out, stderr, code := f.enqueue("list", "--state", "done"); code != 0 || strings.Count(out, "\n") < jobs {
				t.Errorf("list: exit %d: %s%s", code, out, stderr)
			}
			f.refusesOthers(r.door)
		})
	}
}

// fleetOnAny is fleetOn for a Redis behind a door.
func fleetOnAny(t *testing.T, url string, door testservers.Door) *fleet {
	t.Helper()
	rdb, err := records.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	if door.TLS != nil {
		trust(t, rdb, door.TLS)
	}
	f := fleetOn(t, url, rdb)
	if door.TLS != nil {
		f.env = append(f.env, "SSL_CERT_FILE="+door.TLS.CA)
	}
	return f
}

// trust tells the test's own client of the authority: this process has been told of no file.
func trust(t *testing.T, rdb redis.UniversalClient, certificates *testservers.Certificates) {
	t.Helper()
	switch rdb := rdb.(type) {
	case *redis.Client:
		rdb.Options().TLSConfig.RootCAs = certificates.Trust(t).RootCAs
	case *redis.ClusterClient:
		rdb.Options().TLSConfig.RootCAs = certificates.Trust(t).RootCAs
	}
}

func ids(jobs int) (all []string) {
	for i := range jobs {
		all = append(all, request(i).ID)
	}
	return all
}

// batch hands in the first jobs of the mix, all at once. Some may be there already.
func (f *fleet) batch(jobs int) { f.batchFrom(0, jobs) }

func (f *fleet) batchFrom(from, to int) {
	f.t.Helper()
	var lines strings.Builder
	for i := from; i < to; i++ {
		r := request(i)
		fmt.Fprintf(&lines, `{"id":%q,"operation":%q,"body":%s}`+"\n", r.ID, r.Operation, r.Body)
	}
	if out, stderr, code := f.pipe(lines.String(), "batch", "-"); code != 0 {
		f.t.Fatalf("batch: exit %d: %s%s", code, out, stderr)
	}
}

// refusesOthers asks as somebody whom Redis does not know.
func (f *fleet) refusesOthers(door testservers.Door) {
	f.t.Helper()
	if door.User == "" {
		return
	}
	other := strings.Replace(f.redisURL, "//"+door.User+":", "//eve:", 1)
	if out, stderr, code := f.enqueue("status", "job-1", "--redis-url", other); code != 1 || !strings.Contains(stderr, "REDIS_URL") || strings.Contains(stderr, "rd@") {
		f.t.Errorf("as another user: exit %d: %s%s", code, out, stderr)
	}
}
