package tasks

import "errors"

// A Body is the request body of an operation that knows which one it is for: a type of package tasks/media, or one of
// your own. Its JSON is what the API is sent.
type Body interface {
	Operation() string // its name: "text-to-video"
}

// NewRequest makes the Request of a typed body. An empty id asks for a new one; with one of the caller's, Submit may be
// repeated. A body that has no JSON, such as one with a NaN, is refused by Submit as ErrInvalid.
func NewRequest(id string, body Body, options Options) Request {
	if body == nil {
		return Request{ID: id, Options: options, bodyErr: errors.New("no body")}
	}
	text, err := encode(body)
	return Request{ID: id, Operation: body.Operation(), Body: text, Options: options, bodyErr: err}
}
