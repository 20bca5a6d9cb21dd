package main

import (
	"errors"
	"slices"
)

// A description is the part of an OpenAPI 3.0 document that the catalogue is made of.
type description struct {
	Paths map[string]struct {
		Post *endpoint `json:"post"`
	} `json:"paths"`
}

type endpoint struct {
	RequestBody content            `json:"requestBody"`
	Responses   map[string]content `json:"responses"`
}

type content struct {
	Content map[string]struct {
		Schema map[string]any `json:"schema"`
	} `json:"content"`
}

func (e *endpoint) request() (map[string]any, error) { return e.RequestBody.schema() }

// answer is the schema of a successful create: the API says 200, never 201.
func (e *endpoint) answer() (map[string]any, error) { return e.Responses["200"].schema() }

func (c content) schema() (map[string]any, error) {
	schema := c.Content["application/json"].Schema
	if schema == nil {
		return nil, errors.New("no application/json schema")
	}
	return schema, nil
}

// kindOf tells the family of endpoints that a project belongs to. The description has no
// field for it, but each family answers a create with a cost field of its own.
func kindOf(answer map[string]any) string {
	required, _ := answer["required"].([]any)
	switch {
	case slices.Contains(required, any("estimated_frame_cost")):
		return "video"
	case slices.Contains(required, any("frame_cost")):
		return "image"
	default:
		return "audio"
	}
}
