// Command go hands a job to Hourglass and waits until its files are stored:
//
//	REDIS_URL=redis://127.0.0.1:6379/0 go run ./examples/go order-4711
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
	"github.com/seed-290c2414/hourglass/tasks/media"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) != 2 {
		_, _ = fmt.Fprintln(os.Stderr, "want the id of the job: REDIS_URL=redis://127.0.0.1:6379/0 go run ./examples/go order-4711")
		os.Exit(2) //nolint:gocritic // nothing has begun
	}
	if err := run(ctx, os.Getenv("REDIS_URL"), os.Args[1]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, redisURL, id string) error {
	options, err := redis.ParseURL(redisURL)
	if err != nil {
		return err
	}
	rdb := redis.NewClient(options) // or the one that your service has already
	defer func() { _ = rdb.Close() }()
	client := tasks.NewClient(rdb)

	job, err := client.Submit(ctx, tasks.NewRequest(id, media.AIImageGenerator{
		ImageCount: 2, Style: media.AIImageGeneratorStyle{Prompt: "a tin robot"},
	}, tasks.Options{Metadata: map[string]string{"from": "go"}}))
	var invalid *tasks.InvalidError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("mend these fields: %+v", invalid.Problems)
	case err != nil:
		return err // of Redis: to submit again with the same id is safe
	}
	job, err = client.Wait(ctx, job.ID)
	if err != nil {
		return err
	}
	if job.State != tasks.Done {
		return fmt.Errorf("job %s is %s: %+v", job.ID, job.State, job.Error)
	}
	for _, output := range job.Outputs {
		_, _ = fmt.Fprintln(os.Stdout, output.URL)
	}
	return nil
}
