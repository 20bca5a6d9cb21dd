package operations

import "testing"

func TestOutputs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, body string
		want                  int
	}{
		{"counted", "ai-image-generator", `{"image_count":4}`, 4},
		{"counted with a fraction of zero", "ai-image-generator", `{"image_count":4.0}`, 4},
		{"counted with an exponent", "ai-image-generator", `{"image_count":1e1}`, 10},
		{"default", "ai-image-editor", `{}`, 1},
		{"null", "ai-image-editor", `{"image_count":null}`, 1},
		{"a string is no count", "ai-image-editor", `{"image_count":"4"}`, 1},
		{"the API knows no other spelling", "ai-image-editor", `{"Image_Count":4}`, 1},
		{"not whole", "ai-image-editor", `{"image_count":1.5}`, 1},
		{"none", "ai-image-editor", `{"image_count":0}`, 1},
		{"negative", "ai-image-editor", `{"image_count":-4}`, 1},
		{"absurd", "ai-image-editor", `{"image_count":1e300}`, 1},
		{"beyond a float64", "ai-image-editor", `{"image_count":1e999}`, 1},
		{"not JSON", "ai-image-editor", `{`, 1},
		{"not an object", "ai-image-editor", `[4]`, 1},
		{"an operation that has no count", "text-to-video", `{"image_count":4}`, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := operation(t, tt.operation).Outputs([]byte(tt.body)); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
