package operations

import (
	"encoding/json"
	"math"
)

const imageCount = "image_count"

// Outputs returns how many files a request asks for: its image_count where the operation
// has one, else 1. A body that [Operation.Validate] refuses counts as 1 or as what it says.
func (o Operation) Outputs(body []byte) int {
	if !o.manyFiles {
		return 1 // an image_count that the API ignores must not be waited for
	}
	// A map, because a struct would also take "Image_Count", which the API doesn't.
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return 1
	}
	var count float64 // 4.0 is an integer to JSON Schema, but not to Go's int
	if json.Unmarshal(fields[imageCount], &count) != nil {
		return 1
	}
	if count < 1 || count > math.MaxInt32 || count != math.Trunc(count) {
		return 1
	}
	return int(count)
}

func hasImageCount(schema json.RawMessage) (bool, error) {
	var top struct{ Properties map[string]json.RawMessage }
	err := json.Unmarshal(schema, &top)
	return top.Properties[imageCount] != nil, err
}
