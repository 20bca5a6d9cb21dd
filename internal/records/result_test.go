package records_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// TestResultOfATaskThatIsGone: nothing comes into being that would hold the id of the task.
func TestResultOfATaskThatIsGone(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(t)})
	t.Cleanup(func() { _ = rdb.Close() })
	s, ctx := records.New(rdb), t.Context()
	rdb.HSet(ctx, "asynq:{q}:t:there", "msg", "m")
	for _, task := range []string{"there", "gone"} {
		if err := s.WriteResult(ctx, "q", task, []byte("done")); err != nil {
			t.Fatal(err)
		}
	}
	if got := rdb.HGet(ctx, "asynq:{q}:t:there", "result").Val(); got != "done" {
		t.Errorf("the task that is there has the result %q", got)
	}
	if rdb.Exists(ctx, "asynq:{q}:t:gone").Val() != 0 {
		t.Error("the task that is gone has come back as something else")
	}
}
