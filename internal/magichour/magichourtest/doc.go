// Package magichourtest is a fake of the Magic Hour API that is faithful on the wire: the
// API with its credits, and the host that media files are fetched from and uploaded to. It
// knows every create operation of the catalogue, speaks the published schema with the
// deprecated fields, and keeps a ledger of all that was asked of it and paid for.
//
//	fake := magichourtest.New(magichourtest.Options{TimeScale: 0.01})
//	if err := fake.Start(ctx); err != nil { ... }
//	defer fake.Close()
//	// point a client at fake.URL()
//
// Nothing happens in the background. What a render has come to is computed from the clock
// whenever somebody asks, so a test that moves [Options.Now] moves every render, and ten
// thousand projects cost no more than their fields.
//
// What can go wrong is chosen in three ways: per project by a [Behavior], per request by a
// [Fault], and for the account by methods such as [Server.RevokeKey]. The same can be done
// over HTTP under /_fake/, and a person can write a behavior into the name of a project:
//
//	{"name": "my clip [fake error=no_source_face render=3s]", ...}
//
// # Control over HTTP
//
// Without authorization, at the address of the API, bodies and answers in JSON:
//
//	GET    /_fake/ledger[?since=SEQ]           {"totals": Totals, "events": [Event]}
//	GET    /_fake/totals                       Totals
//	GET    /_fake/projects                     [Project]
//	GET    /_fake/projects/{id}                Project
//	PUT    /_fake/projects/{id}/behavior       Behavior of one project
//	GET    /_fake/projects/{id}/outputs        [Output]: path, size, sha256
//	GET    /_fake/projects/{id}/outputs/{n}    the true bytes of output n, from 1
//	PUT    /_fake/behavior                     Behavior of projects made from now on
//	POST   /_fake/behaviors                    [Behavior]: one each for the next projects
//	GET    /_fake/faults                       [Fault] still to come
//	POST   /_fake/faults                       Fault or [Fault], queued
//	DELETE /_fake/faults                       forgets them
//	POST   /_fake/release                      lets go of every held request
//	PUT    /_fake/key                          {"revoked": true}
//	PUT    /_fake/credits                      {"credits": 100}
//	PUT    /_fake/webhooks                     Webhooks
//	POST   /_fake/deliver                      sends the webhooks that are due: {"sent": n}
//	GET    /_fake/uploads?file_path=PATH       {"size": n, "sha256": "..."}
//
// # Where the API's documentation is silent
//
// The fake takes one side, or leaves the choice: a wrong-kind id is 404; a second DELETE is
// 404; a DELETE takes effect in every status and refunds nothing; a canceled project has a
// null error and is refunded; after a refund credits_charged is 0. A create with an
// api-assets/ path to which nothing was uploaded, or more than 7 days ago, is refused with 422; paths of other
// kinds are believed, and so are detected faces. Rules that the schema can't say
// ("video_source file needs video_file_path") are not enforced.
package magichourtest
