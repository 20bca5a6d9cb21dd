// Package operations is the catalogue of what the Magic Hour API can make: every create
// operation with its request schema, the fields of it that refer to media files, and the
// time a render usually takes.
//
// [Operation.Validate] checks a request offline, before anything is queued or paid for.
// What the API is sure to refuse is an error; what may merely be newer than this version
// (an unknown field, a model or a voice it has not heard of) is a warning, and is sent as
// it is.
//
// Rules that the API states in prose only, and that JSON Schema does not carry, are checked
// as well: "video_source file needs video_file_path", the longest clip, the durations that
// some models take. [Operation.Rules] lists them. Not checked is what depends on the
// account or changes too often to be sure of: tiers, and what each model can do apart from
// those durations. That is left for the API to refuse.
//
// Not covered yet: face detection. It makes no project, so it is no operation here; who
// swaps individual faces detects them with the API itself and gives the paths that it
// answers as original_face.
//
// The catalogue is generated from spec/openapi.json, a copy of the published API
// description (https://docs.magichour.ai/api-reference) without its prose. To take over a
// newer one, replace the file and run go generate.
package operations

//go:generate go run ./generate
