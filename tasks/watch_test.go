package tasks

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// failures counts the commands that fail.
type failures struct {
	redis.Hook

	n    int
	told func(n int)
}

func (f *failures) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failures) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f *failures) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil && !errors.Is(err, redis.Nil) {
			f.n++
			f.told(f.n)
		}
		return err
	}
}

// TestWatchADisconnect: who has seen the job waits for a Redis that goes away, however long that takes. Who has not gives
// up when patience is at its end, which is at once here.
func TestWatchADisconnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		seen    bool
		settled bool
	}{
		{"a job that was seen", true, true},
		{"a job that was not seen yet", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
			defer func() { _ = rdb.Close() }()
			client := NewClient(rdb)
			client.patience = 0
			if _, err := client.Submit(t.Context(), textToVideo("j1")); err != nil {
				t.Fatal(err)
			}
			away := func() { server.SetError("LOADING Redis is loading the dataset in memory") }
			rdb.AddHook(&failures{told: func(n int) {
				if n == 4 {
					server.SetError("")
				}
			}})
			if !tt.seen {
				away()
			}
			looks := 0
			job, err := client.Watch(t.Context(), "j1", func(*Job) {
				switch looks++; looks {
				case 1:
					away()
				case 2:
					if _, err := client.Cancel(t.Context(), "j1"); err != nil {
						t.Error(err)
					}
				}
			})
			if settled := err == nil && job.State == Canceled; settled != tt.settled || (err != nil && !errors.Is(err, ErrUnavailable)) {
				t.Errorf("got %v, %v", job, err)
			}
		})
	}
}
