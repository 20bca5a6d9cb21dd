package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
)

// connect stands for the service's own connection to the Redis of the fleet. Here it is an
// embedded one, without workers: jobs stay pending.
func connect() *redis.Client {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	return redis.NewClient(&redis.Options{Addr: server.Addr()})
}

func Example() {
	ctx := context.Background()
	client := tasks.NewClient(connect())

	job, err := client.Submit(ctx, tasks.Request{
		ID:        "order-4711", // the idempotency key
		Operation: "text-to-video",
		Body:      []byte(`{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.ID, "is", job.State)
	// Output: order-4711 is pending
}

// A Submit whose answer was lost is repeated with the same id. Another request under the same id
// is an error.
func ExampleClient_Submit_again() {
	ctx := context.Background()
	client := tasks.NewClient(connect())
	robot := tasks.Request{
		ID:        "order-4711",
		Operation: "ai-image-generator",
		Body:      []byte(`{"image_count":4,"style":{"prompt":"a tin robot"}}`),
	}
	for range 2 { // the second one changes nothing
		if _, err := client.Submit(ctx, robot); err != nil {
			log.Fatal(err)
		}
	}

	robot.Body = []byte(`{"image_count":4,"style":{"prompt":"a brass robot"}}`)
	_, err := client.Submit(ctx, robot)
	fmt.Println(errors.Is(err, tasks.ErrExists), err)
	// Output: true the job id exists with a different request: order-4711
}

// What the API would refuse is refused before anything is enqueued or paid for.
func ExampleClient_Submit_invalid() {
	client := tasks.NewClient(connect())
	_, err := client.Submit(context.Background(), tasks.Request{
		Operation: "lip-sync",
		Body:      []byte(`{"start_seconds":0,"end_seconds":5,"assets":{"audio_file_path":"api-assets/x/a.mp3","video_source":"file"}}`),
	})
	fmt.Println(errors.Is(err, tasks.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// invalid request: lip-sync: assets.video_file_path: required, because assets.video_source is file
}

// The job goes on whether or not somebody waits.
func ExampleClient_Wait() {
	client := tasks.NewClient(connect())
	job, err := client.Submit(context.Background(), tasks.Request{
		Operation: "ai-qr-code-generator",
		Body:      []byte(`{"content":"https://example.com","style":{"art_style":"Watercolor"}}`),
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	job, err = client.Wait(ctx, job.ID)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("still", job.State)
	case err != nil:
		log.Fatal(err)
	case job.State == tasks.Done:
		for _, o := range job.Outputs {
			fmt.Println(o.URL, o.Size, o.Checksum)
		}
	default: // failed, canceled, or parked as unknown
		fmt.Println(job.Error.Code, job.Error.Message, job.Error.Hint)
	}
	// Output: still pending
}

func ExampleClient_List() {
	ctx := context.Background()
	client := tasks.NewClient(connect())
	for _, id := range []string{"robot-1", "robot-2"} {
		_, err := client.Submit(ctx, tasks.Request{ID: id, Operation: "ai-gif-generator", Body: []byte(`{"style":{"prompt":"a tin robot"}}`)})
		if err != nil {
			log.Fatal(err)
		}
	}

	open := tasks.Filter{States: []tasks.State{tasks.Pending, tasks.Creating, tasks.Rendering}}
	for job, err := range client.List(ctx, open) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.ID, job.State)
	}
	// Output:
	// robot-2 pending
	// robot-1 pending
}

// A service that speaks Asynq needs no client of Hourglass. Until a worker has seen the task, it is
// all there is of the job: services that must not lose one use Submit.
func ExampleNewCreate() {
	queue := asynq.NewClientFromRedisClient(connect())
	task, err := tasks.NewCreate(tasks.Request{
		ID:        "order-4711",
		Operation: "ai-voice-generator",
		Body:      []byte(`{"style":{"prompt":"Good evening.","voice_name":"Morgan Freeman"}}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	info, err := queue.Enqueue(task)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Queue, info.ID)

	_, err = queue.Enqueue(task)
	fmt.Println(errors.Is(err, asynq.ErrTaskIDConflict))
	// Output:
	// hourglass-create order-4711:create
	// true
}

// A job that nobody wants any more is canceled: before its create at no cost.
func ExampleClient_Cancel() {
	ctx := context.Background()
	client := tasks.NewClient(connect())
	if _, err := client.Submit(ctx, tasks.Request{ID: "order-4711", Operation: "ai-image-generator", Body: []byte(`{"image_count":1,"style":{"prompt":"a tin robot"}}`)}); err != nil {
		log.Fatal(err)
	}
	job, err := client.Cancel(ctx, "order-4711")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.ID, "is", job.State)

	_, err = client.Retry(ctx, "order-4711", false)
	fmt.Println(errors.Is(err, tasks.ErrState), err)
	// Output:
	// order-4711 is canceled
	// true not possible where the job stands: job order-4711 was canceled: submit the request under another id
}
