package operations

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A Kind is a family of projects. It decides which endpoints read and delete a project
// (/v1/{kind}-projects/{id}) and which webhooks tell of it. A GIF is an Image, whatever
// its file format.
type Kind string

// The kinds of project that the API has.
const (
	Video Kind = "video"
	Image Kind = "image"
	Audio Kind = "audio"
)

// An Operation is one thing that the API can make. Its values come from [Lookup] and
// [All]; the zero Operation refuses every request.
type Operation struct {
	// Name is the path without /v1/: "text-to-video".
	Name string
	// Kind is the family of the projects it creates.
	Kind Kind
	// Path is the endpoint to POST the request to: "/v1/text-to-video".
	Path string
	// Assets are the fields that refer to media files, dotted, with [] after a list:
	// "assets.face_mappings[].new_face". Sorted.
	Assets []string
	// Typical is the published median time from create to complete, queueing included:
	// half of all renders take longer. ai-video-translator, for which none is published,
	// has that of lip-sync.
	Typical time.Duration

	schema    json.RawMessage
	checks    func() *checks // compiled on first use
	manyFiles bool           // whether a request may ask for more than one file
}

// Lookup returns the operation of that name, such as "face-swap", and whether it exists.
func Lookup(name string) (Operation, bool) {
	all := catalogue()
	i, ok := slices.BinarySearchFunc(all, name, func(o Operation, name string) int {
		return strings.Compare(o.Name, name)
	})
	if !ok {
		return Operation{}, false
	}
	return all[i].clone(), true
}

// All returns every operation, sorted by name.
func All() []Operation {
	all := slices.Clone(catalogue())
	for i := range all {
		all[i] = all[i].clone()
	}
	return all
}

// Schema returns the request's schema as published, in JSON Schema 2020-12, with the
// [Operation.Rules] as its description: they are for people, no validator reads them. It
// lists models, voices and the like as they were known to this version;
// [Operation.Validate] lets newer ones pass.
func (o Operation) Schema() json.RawMessage {
	rules := o.Rules()
	if len(rules) == 0 {
		return bytes.Clone(o.schema)
	}
	// A string always marshals.
	description, _ := json.Marshal("Not said by this schema: " + strings.Join(rules, "; ") + ".")
	return slices.Concat([]byte(`{"description":`), description, []byte(","), o.schema[1:])
}

// clone keeps the catalogue, which everybody shares, out of the caller's reach.
func (o Operation) clone() Operation {
	o.Assets = slices.Clone(o.Assets)
	return o
}
