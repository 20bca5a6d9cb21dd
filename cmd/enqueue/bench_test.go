package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/testservers"
	"github.com/seed-290c2414/hourglass/tasks"
)

// BenchmarkBatch submits jobs to a real Redis in every way there is: as a batch; one after the other,
// as a loop over Submit does; as bare Asynq tasks from 50 goroutines, which is what a service would do
// without Hourglass; and, for the floor, the same bytes as SETs in one pipeline.
func BenchmarkBatch(b *testing.B) {
	ways := []struct {
		name string
		send func(ctx context.Context, rdb *redis.Client, b *batch, entries []entry) error
	}{
		{"floor", setAll},
		{"batch", submitBatch},
		{"asynq-50", enqueueBare},
		{"loop", submitLoop},
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			rdb := redis.NewClient(&redis.Options{Addr: testservers.Redis(b)})
			defer func() { _ = rdb.Close() }()
			var lines strings.Builder
			for i := range b.N {
				lines.WriteString(strings.Replace(clip, `"clip"`, fmt.Sprintf(`"clip-%d"`, i), 1) + "\n")
			}
			read, entries := readBatch(b, form{}, lines.String())
			b.ResetTimer()
			if err := way.send(b.Context(), rdb, read, entries); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

func submitBatch(ctx context.Context, rdb *redis.Client, b *batch, _ []entry) error {
	pipelined, err := records.Pipelined(rdb)
	if err != nil {
		return err
	}
	s := &submission{batch: b, client: tasks.NewClient(pipelined), atOnce: defaultConcurrency, stdout: io.Discard, fates: make([]fate, b.spool.lines)}
	return s.submit(ctx)
}

func submitLoop(ctx context.Context, rdb *redis.Client, _ *batch, entries []entry) error {
	client := tasks.NewClient(rdb)
	for _, e := range entries {
		if _, err := client.Submit(ctx, lineOf(e.Job).request()); err != nil {
			return err
		}
	}
	return nil
}

func enqueueBare(ctx context.Context, rdb *redis.Client, _ *batch, entries []entry) (err error) {
	queue := asynq.NewClientFromRedisClient(rdb)
	work, failed := make(chan entry), make(chan error, 1)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for e := range work {
				task, err := tasks.NewCreate(lineOf(e.Job).request())
				if err == nil {
					_, err = queue.EnqueueContext(ctx, task)
				}
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for _, e := range entries {
		work <- e
	}
	close(work)
	all.Wait()
	select {
	case err = <-failed:
	default:
	}
	return err
}

func setAll(ctx context.Context, rdb *redis.Client, _ *batch, entries []entry) error {
	pipe := rdb.Pipeline()
	for i, e := range entries {
		pipe.Set(ctx, "floor:"+e.Job.ID, []byte(e.Job.Body), 0)
		if i%1000 == 999 {
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
	}
	_, err := pipe.Exec(ctx)
	return err
}
