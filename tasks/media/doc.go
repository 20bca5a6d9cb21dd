// Package media has the request of every operation of the Magic Hour API as a Go type, so that the compiler and the
// editor know its fields:
//
//	job, err := client.Submit(ctx, tasks.NewRequest("order-4711", media.TextToVideo{
//		EndSeconds: 5,
//		Style:      media.TextToVideoStyle{Prompt: "a tin robot waves"},
//		Resolution: media.Resolution1080p,
//	}, tasks.Options{}))
//
// A field that is left out, at the zero value of its type, is not sent, and the API's own default holds. Fields are
// pointers only where zero is a wish of its own: Audio: new(false) asks for a film without sound. Numbers that are
// required are always sent. A required text that is empty is refused by Submit as missing.
//
// A field that ends in FilePath names a media file. It takes an http(s) URL whose path ends in a supported extension
// (.png, .mp4, .mp3, ...), an object as s3://bucket/key of a bucket that the workers may read, the path of a file that
// was uploaded to Magic Hour (api-assets/...), or a page of the account's library
// (https://magichour.ai/my-library?videoId=...).
//
// Closed choices have a type and constants, such as [Resolution]; which of them an operation takes, its field says.
// Models, styles, voices and languages are plain strings, since the API learns new ones every few weeks: one that this
// version does not know is sent as it is, and stands in the job's warnings.
//
// What can be said with these types is still checked by Submit: bounds, choices, and the rules between fields. The types
// are generated from the API's published description; https://docs.magichour.ai/api-reference says more of each
// operation. What they lack, such as a field that is newer than this version, the general tasks.Request can say.
package media

//go:generate go run ./generate
