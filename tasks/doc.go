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
// and Client.Job, Client.Wait or Client.List tells what became of it. A service that speaks Asynq
// already can enqueue the task of NewCreate instead.
//
// Submit is safe to repeat with its id: the same request under the same id is one job, and is bought
// once, for as long as its record lives: a week after its end, unless the workers say otherwise. What
// the API would refuse is ErrInvalid, before anything is enqueued: a required field that
// is missing, a value out of bounds, a rule that the API states in words only. What may merely be
// newer than this version, such as a model, is sent, and stands in Job.Warnings.
//
// A job ends as Done, Failed or Canceled, or is parked as Unknown when nobody can tell whether it
// was charged; Job.Error then says what happened and what to do: Client.Retry puts a failed job back on
// the road, Client.Resolve tells what became of a purchase, and Client.Cancel ends a job that nobody wants. From StoredAt on its files may be
// used: they are proved, and only the original at Magic Hour is still to be deleted.
//
// What stands here as JSON is a contract: fields are added, and never renamed or removed. Unknown
// fields are tolerated.
package tasks
