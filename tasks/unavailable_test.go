package tasks

import (
	"context"
	"errors"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// calls are the methods of a Client that ask Redis.
var calls = map[string]func(ctx context.Context, c *Client) error{
	"Submit": func(ctx context.Context, c *Client) error { _, err := c.Submit(ctx, textToVideo("j1")); return err },
	"Check":  func(ctx context.Context, c *Client) error { _, err := c.Check(ctx, textToVideo("j1")); return err },
	"Job":    func(ctx context.Context, c *Client) error { _, err := c.Job(ctx, "j1"); return err },
	"Cancel": func(ctx context.Context, c *Client) error { _, err := c.Cancel(ctx, "j1"); return err },
	"Retry":  func(ctx context.Context, c *Client) error { _, err := c.Retry(ctx, "j1", false); return err },
	"Resolve": func(ctx context.Context, c *Client) error {
		_, err := c.Resolve(ctx, "j1", Resolution{Project: "p"})
		return err
	},
	"Page": func(ctx context.Context, c *Client) error { _, _, err := c.Page(ctx, Filter{}, "", 1); return err },
	"List": func(ctx context.Context, c *Client) error {
		for _, err := range c.List(ctx, Filter{}) {
			return err
		}
		return nil
	},
}

func TestRedisInTrouble(t *testing.T) {
	t.Parallel()
	for trouble, bring := range map[string]func(*miniredis.Miniredis){
		"gone":    func(m *miniredis.Miniredis) { m.Close() },
		"loading": func(m *miniredis.Miniredis) { m.SetError("LOADING Redis is loading the dataset in memory") },
	} {
		for name, call := range calls {
			t.Run(trouble+" "+name, func(t *testing.T) {
				t.Parallel()
				server := miniredis.RunT(t)
				rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
				defer func() { _ = rdb.Close() }()
				bring(server)
				if err := call(t.Context(), NewClient(rdb)); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v, want ErrUnavailable", err)
				}
			})
		}
	}
}

// TestNoTroubleOfRedis: what the caller did is not taken for trouble of Redis.
func TestNoTroubleOfRedis(t *testing.T) {
	t.Parallel()
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := miniredis.RunT(t)
			rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
			defer func() { _ = rdb.Close() }()
			if err := call(t.Context(), NewClient(rdb)); errors.Is(err, ErrUnavailable) {
				t.Errorf("Redis is well: %v", err)
			}
			server.HSet("hourglass:{j1}:record", "rev", "x", "job", "{")
			if err := call(t.Context(), NewClient(rdb)); errors.Is(err, ErrUnavailable) {
				t.Errorf("a record that is broken: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx, NewClient(rdb)); errors.Is(err, ErrUnavailable) {
				t.Errorf("canceled by the caller: %v", err)
			}
		})
	}
}
