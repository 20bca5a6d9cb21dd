package operations

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidateAcceptsWhatTheAPITakes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, body string
	}{
		{"names and modes", "ai-headshot-generator", `{"name":"headshot","assets":{"image_file_path":"image/1/p.png"},"style":{"prompt":""}}`},
		{"numbers below zero, truths", "ai-face-editor", `{"assets":{"image_file_path":"api-assets/1/p.png"},"style":{"mouth_smile":-15,"enhance_face":true}}`},
		{"closed choice of numbers", "ai-image-editor", `{"image_count":4,"model":"default","style":{"prompt":"x"},"assets":{"image_file_paths":["api-assets/1/a.png","https://example.com/b.webp"]}}`},
		{"every optional choice", "ai-image-generator", `{"image_count":2,"style":{"prompt":"a cat","tool":"general"},"aspect_ratio":"16:9","resolution":"2k"}`},
		{"fractions of a second", "ai-talking-photo", `{"start_seconds":0.25,"end_seconds":5.5,"assets":{"image_file_path":"image/1/a.png","audio_file_path":"audio/1/a.mp3"}}`},
		{"library URL", "ai-video-translator", `{"end_seconds":10,"target_language":"Hindi","assets":{"video_file_path":"https://magichour.ai/my-library?videoId=clx1"}}`},
		{"URL in capitals, signed", "photo-colorizer", `{"assets":{"image_file_path":"HTTPS://EXAMPLE.COM/OLD.JPG?token=secret"}}`},
		{"YouTube URL", "animation", `{"fps":12,"end_seconds":15,"height":512,"width":512,"style":{"art_style":"Cyberpunk","camera_effect":"Bounce Out","prompt_type":"ai_choose","transition_speed":5},"assets":{"audio_source":"youtube","youtube_url":"https://www.youtube.com/watch?v=1"}}`},
		{"subtitles of one's own look", "auto-subtitle-generator", `{"start_seconds":0,"end_seconds":15,"assets":{"video_file_path":"video/1/a.mov"},"style":{"custom_config":{"font":"Noto Sans"}}}`},
		{"subtitles of a look of defaults", "auto-subtitle-generator", `{"start_seconds":0,"end_seconds":15,"assets":{"video_file_path":"video/1/a.mov"},"style":{"custom_config":{}}}`},
		{"points in a list", "character-replace", `{"end_seconds":5,"assets":{"video_file_path":"video/1/a.mp4","image_file_path":"image/1/a.png"},"style":{"selection_mode":"point","points":[{"position_x":1,"position_y":2,"time_seconds":0.5}]}}`},
		{"a gif as the video", "face-swap", `{"start_seconds":0,"end_seconds":15,"assets":{"video_source":"file","video_file_path":"https://example.com/a.gif","image_file_path":"saved-items/1/a.png"}}`},
		{"an animated picture in a bucket in the place of a video", "face-swap", `{"start_seconds":0,"end_seconds":1,"assets":{"image_file_path":"image/1.png","video_source":"file","video_file_path":"s3://bucket/a.gif"}}`},
		{"faces one by one", "face-swap-photo", `{"assets":{"target_file_path":"image/1/b.png","face_swap_mode":"individual-faces","face_mappings":[{"original_face":"api-assets/1/0-0.png","new_face":"https://example.com/a.png"}]}}`},
		{"null where nullable", "video-to-video", `{"start_seconds":0,"end_seconds":15,"style":{"art_style":"Minecraft","prompt":null},"assets":{"video_source":"file","video_file_path":"video/1/a.mp4"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			warnings, err := operation(t, tt.operation).Validate([]byte(tt.body))
			if err != nil || len(warnings) > 0 {
				t.Errorf("got warnings %v, error %v; want neither", warnings, err)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, body string
		want                  []string
	}{
		{"empty body", "text-to-video", " \n", []string{"the body must be a JSON object, but is empty"}},
		{"null body", "text-to-video", `null`, []string{"the body must be a JSON object, but is null"}},
		{"list as body", "text-to-video", `[{}]`, []string{"the body must be a JSON object, but is a list"}},
		{"string as body", "text-to-video", `"{}"`, []string{"the body must be a JSON object, but is a string"}},
		{"number as body", "text-to-video", `1`, []string{"the body must be a JSON object, but is a number"}},
		{"boolean as body", "text-to-video", `true`, []string{"the body must be a JSON object, but is true or false"}},
		{"text of another encoding", "text-to-video", "{\"end_seconds\":5,\"style\":{\"prompt\":\"caf\xe9\"}}", []string{"the body is not valid UTF-8"}},
		{"half a body", "text-to-video", `{"name":`, []string{"the body is not valid JSON: unexpected EOF"}},
		{"two bodies", "text-to-video", `{} {}`, []string{"the body is not valid JSON: invalid character after top-level value"}},
		{"nothing given", "text-to-video", `{}`, []string{"end_seconds: required", "style: required"}},
		{"missing below", "lip-sync", `{"start_seconds":0,"end_seconds":1,"assets":{}}`, []string{
			"assets.audio_file_path: required", "assets.video_source: required",
		}},
		{"wrong types", "image-to-video", `{"end_seconds":"5","audio":1,"name":null,"model":7,"style":[],"assets":{"image_file_path":true}}`, []string{
			"assets.image_file_path: must be a string", "audio: must be true or false", "end_seconds: must be a number",
			"model: must be a string", "name: must be a string", "style: must be an object",
		}},
		{"null where nullable", "video-to-video", `{"start_seconds":0,"end_seconds":1,"style":{"art_style":"Pixel","prompt":1},"assets":{"video_source":"file","video_file_path":"video/1.mp4"}}`, []string{
			"style.prompt: must be null or a string",
		}},
		{"not a list", "ai-image-editor", `{"style":{"prompt":"x"},"assets":{"image_file_paths":"a.png"}}`, []string{
			"assets.image_file_paths: must be a list",
		}},
		{"out of bounds", "animation", `{"fps":0.5,"end_seconds":0.09999999999999999999,"height":63,"width":64.5,"style":{"art_style":"Cyberpunk","camera_effect":"Bounce Out","prompt_type":"ai_choose","transition_speed":11},"assets":{"audio_source":"none"}}`, []string{
			"end_seconds: must be at least 0.1", "fps: must be at least 1", "height: must be at least 64",
			"style.transition_speed: must be at most 10", "width: must be a whole number",
		}},
		{"two bounds at once", "ai-face-editor", `{"assets":{"image_file_path":"image/1.png"},"style":{"head_yaw":101}}`, []string{
			"style.head_yaw: must be a multiple of 5", "style.head_yaw: must be at most 100",
		}},
		{"prompt too long", "text-to-video", `{"end_seconds":5,"style":{"prompt":"` + strings.Repeat("ü", 2001) + `"}}`, []string{
			"style.prompt: must have at most 2000 characters",
		}},
		{"empty prompt", "text-to-video", `{"end_seconds":5,"style":{"prompt":""}}`, []string{"style.prompt: must not be empty"}},
		{"too many images", "ai-image-editor", `{"style":{"prompt":"x"},"assets":{"image_file_paths":["image/1",` + strings.Repeat(`"image/1",`, 9) + `"image/1"]}}`, []string{
			"assets.image_file_paths: must have at most 10 items",
		}},
		{"closed choices", "text-to-video", `{"end_seconds":5,"style":{"prompt":"x"},"aspect_ratio":"4:3","resolution":"8k"}`, []string{
			"aspect_ratio: must be one of 16:9, 9:16, 1:1", "resolution: must be one of 480p, 720p, 1080p, 4k",
		}},
		{"closed choice of numbers", "ai-image-editor", `{"image_count":2,"style":{"prompt":"x"}}`, []string{
			"assets: required", "image_count: must be one of 1, 4, 9, 16",
		}},
		{"closed choices below assets", "face-swap", `{"start_seconds":0,"end_seconds":1,"assets":{"video_source":"vimeo","face_swap_mode":"one"}}`, []string{
			"assets.face_swap_mode: must be one of all-faces, individual-faces", "assets.video_source: must be one of file, youtube",
		}},
		{"not a URL", "lip-sync", `{"start_seconds":0,"end_seconds":1,"assets":{"audio_file_path":"audio/1.mp3","video_source":"youtube","youtube_url":"watch?v=secret"}}`, []string{
			"assets.youtube_url: must be a URL",
		}},
		{"an element of a list", "face-swap-photo", `{"assets":{"target_file_path":"image/1.png","face_swap_mode":"individual-faces","face_mappings":[{"original_face":"image/1.png","new_face":"image/2.png"},{"original_face":"image/3.png"},7]}}`, []string{
			"assets.face_mappings[1].new_face: required", "assets.face_mappings[2]: must be an object",
		}},
		{"a number no machine can read", "text-to-video", `{"end_seconds":1e9999999,"style":{"prompt":"x"},"extra":[0e99999999999999999999]}`, []string{
			"end_seconds: not a usable number: too large, too small or too long", "extra[0]: not a usable number: too large, too small or too long",
		}},
		{"warnings wait until the errors are gone", "text-to-video", `{"end_seconds":5,"style":{},"colour":"red","model":"new"}`, []string{"style.prompt: required"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, problemsOfBody(t, tt.operation, tt.body)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateWarns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, body string
		want                  []string
	}{
		{"unknown fields at every depth", "face-swap-photo", `{"seed":1,"assets":{"target_file_path":"image/1.png","face_swap_mode":"individual-faces","x":{"y":1},"face_mappings":[{"original_face":"image/1.png","new_face":"image/2.png","a.b":1}]}}`, []string{
			`assets.face_mappings[0]."a.b": unknown field`, "assets.x: unknown field", "seed: unknown field",
		}},
		{"new model", "ai-video-editor", `{"end_seconds":5,"model":"gemini-omni-1.1","style":{"prompt":"x"},"assets":{"video_file_path":"video/1.mp4"}}`, []string{
			"model: not one of gemini-omni, ltx-2.3, which this version knows; sent as it is",
		}},
		{"new voice", "ai-voice-generator", `{"style":{"prompt":"x","voice_name":"Nobody"}}`, []string{
			"style.voice_name: not a value this version knows; sent as it is",
		}},
		{"new language", "ai-video-translator", `{"end_seconds":5,"target_language":"Klingon","assets":{"video_file_path":"video/1.mp4"}}`, []string{
			"target_language: not a value this version knows; sent as it is",
		}},
		{"new style", "video-to-video", `{"start_seconds":0,"end_seconds":5,"style":{"art_style":"New","version":"v3"},"assets":{"video_source":"file","video_file_path":"video/1.mp4"}}`, []string{
			"style.art_style: not a value this version knows; sent as it is",
			"style.version: not one of v1, v2, default, which this version knows; sent as it is",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			warnings, err := operation(t, tt.operation).Validate([]byte(tt.body))
			if err != nil {
				t.Fatalf("got error %v", err)
			}
			if diff := cmp.Diff(tt.want, lines(warnings)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidateOfNoOperation(t *testing.T) {
	t.Parallel()
	_, err := Operation{}.Validate([]byte(`{}`))
	if got, want := err.Error(), "no operation: not made by Lookup or All"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInvalidErrorNamesEverything(t *testing.T) {
	t.Parallel()
	_, err := operation(t, "text-to-video").Validate([]byte(`{}`))
	if got, want := err.Error(), "text-to-video: end_seconds: required; style: required"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Under the race detector this also proves that the schemas compile once.
func TestValidateFromManyGoroutines(t *testing.T) {
	t.Parallel()
	fresh, err := parseCatalogue(embedded)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		for _, o := range fresh {
			all.Go(func() {
				if _, err := o.Validate(minimal[o.Name]); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
}

func lines(problems []Problem) []string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return lines
}

// problemsOfBody is what Validate says against a request, which it has to refuse.
func problemsOfBody(t *testing.T, name, body string) []string {
	t.Helper()
	warnings, err := operation(t, name).Validate([]byte(body))
	var invalid *InvalidError
	if !errors.As(err, &invalid) || warnings != nil {
		t.Fatalf("got warnings %v, error %v; want an *InvalidError alone", warnings, err)
	}
	if invalid.Operation != name {
		t.Errorf("got problems of %s, want of %s", invalid.Operation, name)
	}
	return lines(invalid.Problems)
}
