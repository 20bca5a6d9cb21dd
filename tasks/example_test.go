package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/tasks"
	"github.com/seed-290c2414/hourglass/tasks/media"
)

// connect stands for the service's own connection to the Redis of the fleet. Here it is an
// embedded one, without workers: jobs stay pending.
func connect() *redis.Client { return redis.NewClient(&redis.Options{Addr: address()}) }

func address() string {
	server, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	return server.Addr()
}

func Example() {
	ctx := context.Background()
	client := tasks.NewClient(connect())

	job, err := client.Submit(ctx, tasks.NewRequest("order-4711", media.TextToVideo{
		EndSeconds: 5,
		Style:      media.TextToVideoStyle{Prompt: "a tin robot waves"},
	}, tasks.Options{}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.ID, "is", job.State)
	// Output: order-4711 is pending
}

// NewClient takes the Redis client that a service has already: redis.NewUniversalClient makes a plain one of one
// address, one that asks sentinels if it is told the name of the master, or one of a cluster.
func ExampleNewClient() {
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{address()}})
	client := tasks.NewClient(rdb)

	_, err := client.Job(context.Background(), "order-4711")
	fmt.Println(errors.Is(err, tasks.ErrNotFound), err)
	// Output: true no such job: order-4711
}

// A typed body and its general form are the same job. The general form says what this version has no type or no
// field for.
func ExampleNewRequest() {
	ctx := context.Background()
	client := tasks.NewClient(connect())
	typed := tasks.NewRequest("order-4711", media.FaceSwap{
		StartSeconds: 0,
		EndSeconds:   15,
		Assets: media.FaceSwapAssets{
			VideoSource:   media.VideoSourceFile,
			VideoFilePath: "s3://holidays/beach.mp4",
			ImageFilePath: "https://example.com/me.jpg",
		},
	}, tasks.Options{})
	if _, err := client.Submit(ctx, typed); err != nil {
		log.Fatal(err)
	}

	job, err := client.Submit(ctx, tasks.Request{
		ID:        "order-4711",
		Operation: "face-swap",
		Body: []byte(`{"start_seconds":0,"end_seconds":15,"assets":{
			"video_source":"file","video_file_path":"s3://holidays/beach.mp4","image_file_path":"https://example.com/me.jpg"}}`),
	})
	fmt.Println(job.Operation, job.State, err)
	// Output: face-swap pending <nil>
}

// Options say what is not part of the API's request: here whose job it is and how urgent, where its files go, what is
// noted with it, and who is told when they are there.
func ExampleOptions() {
	client := tasks.NewClient(connect())
	job, err := client.Submit(context.Background(), tasks.NewRequest("order-4711", media.AIImageGenerator{
		ImageCount: 4,
		Style:      media.AIImageGeneratorStyle{Prompt: "a tin robot"},
	}, tasks.Options{
		Tenant:    "acme",
		Priority:  tasks.PriorityHigh,
		GiveUp:    tasks.Duration(36 * time.Hour),
		KeyPrefix: "2026/acme",
		Metadata:  map[string]string{"customer": "17"},
		Notify:    tasks.Notify{Task: &tasks.NotifyTask{Queue: "media", Type: "media:ready"}},
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.View().Tenant, job.View().Metadata)
	// Output: acme map[customer:17]
}

// The service that is told by an Asynq task handles it as any other. It may come twice, and later than another
// notice of the same job.
func ExampleNotice() {
	told := asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		var notice tasks.Notice
		if err := json.Unmarshal(task.Payload(), &notice); err != nil {
			return err
		}
		switch notice.Type {
		case tasks.NoticeStored:
			for _, o := range notice.Job.Outputs {
				fmt.Println(notice.Job.ID, "is at", o.URL)
			}
		case tasks.NoticeFailed, tasks.NoticeCanceled, tasks.NoticeUnknown:
			fmt.Println(notice.Job.ID, notice.Job.State, notice.Job.Error)
		}
		return nil
	})

	payload := `{"v":1,"id":"msg_1","type":"job.stored","timestamp":"2026-11-24T12:00:00Z","data":{"id":"order-4711","state":"cleaning",` +
		`"outputs":[{"n":1,"url":"s3://media/order-4711/1.mp4"}]}}`
	if err := told(context.Background(), asynq.NewTask("media:ready", []byte(payload))); err != nil {
		log.Fatal(err)
	}
	// Output: order-4711 is at s3://media/order-4711/1.mp4
}

// A Submit whose answer was lost is repeated with the same id. Another request under the same id
// is an error.
func ExampleClient_Submit_again() {
	ctx := context.Background()
	client := tasks.NewClient(connect())
	robots := func(prompt string) tasks.Request {
		return tasks.NewRequest("order-4711", media.AIImageGenerator{ImageCount: 4, Style: media.AIImageGeneratorStyle{Prompt: prompt}}, tasks.Options{})
	}
	for range 2 { // the second one changes nothing
		if _, err := client.Submit(ctx, robots("a tin robot")); err != nil {
			log.Fatal(err)
		}
	}

	standing, err := client.Submit(ctx, robots("a brass robot"))
	fmt.Println(errors.Is(err, tasks.ErrExists), err)
	fmt.Println("it is of", string(standing.Body))
	// Output:
	// true the job id exists with a different request: order-4711
	// it is of {"image_count":4,"style":{"prompt":"a tin robot"}}
}

// What the API would refuse is refused before anything is enqueued or paid for.
func ExampleClient_Submit_invalid() {
	client := tasks.NewClient(connect())
	_, err := client.Submit(context.Background(), tasks.NewRequest("", media.LipSync{
		EndSeconds: 5,
		Assets:     media.LipSyncAssets{VideoSource: media.VideoSourceFile, AudioFilePath: "api-assets/x/a.mp3"},
	}, tasks.Options{}))
	fmt.Println(errors.Is(err, tasks.ErrInvalid))
	fmt.Println(err)
	// Output:
	// true
	// invalid request: lip-sync: assets.video_file_path: required, because assets.video_source is file
}

// A service that takes requests from others tells them field by field.
func ExampleInvalidError() {
	client := tasks.NewClient(connect())
	_, err := client.Check(context.Background(), tasks.NewRequest("order-4711", media.AIVoiceCloner{
		Style: media.AIVoiceClonerStyle{Prompt: "Good evening."},
	}, tasks.Options{Tenant: "acme"}))

	var invalid *tasks.InvalidError
	switch {
	case errors.As(err, &invalid): // 422
		for _, p := range invalid.Problems {
			fmt.Println(p.Path, "is", p.Message)
		}
	case errors.Is(err, tasks.ErrExists): // 409
	case errors.Is(err, tasks.ErrUnavailable): // 503: try again, with the same id
	}
	// Output: body.assets.audio_file_path is required
}

// The job goes on whether or not somebody waits.
func ExampleClient_Wait() {
	client := tasks.NewClient(connect())
	job, err := client.Submit(context.Background(), tasks.NewRequest("", media.AIQRCodeGenerator{
		Content: "https://example.com",
		Style:   media.AIQRCodeGeneratorStyle{ArtStyle: "Watercolor"},
	}, tasks.Options{}))
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
		gif := media.AIGIFGenerator{Style: media.AIGIFGeneratorStyle{Prompt: "a tin robot"}}
		if _, err := client.Submit(ctx, tasks.NewRequest(id, gif, tasks.Options{})); err != nil {
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
	task, err := tasks.NewCreate(tasks.NewRequest("order-4711", media.AIVoiceGenerator{
		Style: media.AIVoiceGeneratorStyle{Prompt: "Good evening.", VoiceName: "Morgan Freeman"},
	}, tasks.Options{}))
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
	request := tasks.NewRequest("order-4711", media.AIImageUpscaler{
		ScaleFactor: 2,
		Assets:      media.AIImageUpscalerAssets{ImageFilePath: "https://example.com/small.png"},
	}, tasks.Options{})
	if _, err := client.Submit(ctx, request); err != nil {
		log.Fatal(err)
	}
	job, err := client.Cancel(ctx, "order-4711")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.ID, "is", job.State)

	_, err = client.Cancel(ctx, "order-4712")
	fmt.Println(errors.Is(err, tasks.ErrNotFound))
	// Output:
	// order-4711 is canceled
	// true
}

// Whatever has failed is put back on the road, each at the stage that failed. Only what was refunded at Magic Hour is
// bought again, which costs credits, and a job that was canceled is not taken up.
func ExampleClient_Retry() {
	ctx := context.Background()
	client := tasks.NewClient(connect())
	for job, err := range client.List(ctx, tasks.Filter{States: []tasks.State{tasks.Failed}}) {
		if err != nil {
			log.Fatal(err)
		}
		_, err = client.Retry(ctx, job.ID, false)
		if errors.Is(err, tasks.ErrState) { // its render ended in an error
			_, err = client.Retry(ctx, job.ID, true)
		}
		if err != nil {
			log.Fatal(err)
		}
	}

	_, err := client.Retry(ctx, "order-4711", false)
	fmt.Println(errors.Is(err, tasks.ErrNotFound), err)
	// Output: true no such job: order-4711
}
