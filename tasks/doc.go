// Package tasks is how services hand media jobs to Hourglass and learn what became of them. It is also the contract
// behind that: the payloads of the Asynq tasks, and the record of a job.
//
// A service hands in a job and is done:
//
//	client := tasks.NewClient(rdb) // any go-redis client of the fleet's Redis
//	job, err := client.Submit(ctx, tasks.NewRequest("order-4711", media.TextToVideo{
//		EndSeconds: 5,
//		Style:      media.TextToVideoStyle{Prompt: "a tin robot waves"},
//	}, tasks.Options{}))
//
// Package media, below this one, has such a type for every operation of the API. A Request says the same in JSON, and
// NewCreate makes a plain task of it, for services that speak Asynq and want no client.
//
// # The id
//
// The id is the caller's idempotency key: the same request under the same id is one job, and is bought once, for as
// long as its record lives, which is a week after its end unless the workers say otherwise. So a Submit whose answer was
// lost is repeated with its id. Without an id, a new one is made for each call, and a repetition buys twice.
//
// # What became of it
//
// A job ends as Done, Failed or Canceled, or is parked as Unknown when nobody can tell whether it was charged. From
// StoredAt on its files may be used, at the URLs of Job.Outputs: they are proved, and only the original at Magic Hour is
// still to be deleted. Job.Error says what went wrong and, in its hint, what to do.
//
// Options.Notify has the service told, by an HTTP callback, an Asynq task or a Redis stream. Client.Wait waits for one
// job, Client.Job looks at one, Client.List and Client.Page walk over many. Client.Cancel ends a job that nobody wants,
// Client.Retry puts a failed one back on the road, and Client.Resolve tells what became of a purchase.
//
// # Errors
//
// All are tested with errors.Is:
//
//   - ErrInvalid: the API would refuse the request, for a field that is missing, a value out of bounds, or a rule that it
//     states in words only; or an id is none. Nothing was enqueued. As an *InvalidError it tells which fields. What may
//     merely be newer than this version, such as a model, is sent, and stands in Job.Warnings.
//   - ErrExists: the id is taken by a different request. Nothing was enqueued.
//   - ErrNotFound: there is no such job, or not any more.
//   - ErrState: the job does not stand where that is possible. Nothing was changed.
//   - ErrTaken: the project belongs to another job.
//   - ErrUnavailable: Redis does not answer. What was asked for may have been done or not, and may be asked for again.
//   - ErrVersion: a later version of Hourglass has written the record.
//
// An error of the context comes as it is. It, too, leaves open whether a job was accepted.
//
// # Compatibility
//
// What stands here as JSON is a contract: fields are added, and never renamed or removed. Unknown fields are tolerated.
// The folder schema of this module has it as JSON Schemas, for other languages.
package tasks
