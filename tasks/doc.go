// Package tasks is the contract of Hourglass with other services: the payloads of its tasks, the
// record of a job, and a client.
//
// A service hands in a job and is done:
//
//	client := tasks.NewClient(rdb) // any go-redis client of the fleet's Redis
//	job, err := client.Submit(ctx, tasks.Request{
//		ID:        "order-4711", // the idempotency key; made if empty
//		Operation: "text-to-video",
//		Body:      []byte(`{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}`),
//	})
//
// and Client.Job or Client.Wait tells what became of it. A service that speaks Asynq already can
// enqueue the task of NewCreate instead.
//
// What stands here as JSON is a contract: fields are added, and never renamed or removed. Unknown
// fields are tolerated.
package tasks
