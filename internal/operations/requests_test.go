package operations

import "testing"

// requests holds one small valid request for every operation.
var requests = map[string]string{
	"ai-clothes-changer":       `{"assets":{"person_file_path":"api-assets/1/p.png","garment_file_path":"https://example.com/g.jpg","garment_type":"dresses"}}`,
	"ai-face-editor":           `{"assets":{"image_file_path":"api-assets/1/p.png"},"style":{"mouth_smile":-15,"enhance_face":true}}`,
	"ai-gif-generator":         `{"style":{"prompt":"a cat"},"output_format":"webm"}`,
	"ai-headshot-generator":    `{"name":"headshot","assets":{"image_file_path":"image/1/p.png"}}`,
	"ai-image-editor":          `{"image_count":4,"model":"default","style":{"prompt":"add a hat"},"assets":{"image_file_paths":["api-assets/1/a.png","https://example.com/b.webp"]}}`,
	"ai-image-generator":       `{"image_count":2,"style":{"prompt":"a cat","tool":"general"},"aspect_ratio":"16:9","resolution":"2k"}`,
	"ai-image-upscaler":        `{"scale_factor":2,"assets":{"image_file_path":"https://example.com/a.png"},"style":{"mode":"balanced"}}`,
	"ai-meme-generator":        `{"style":{"topic":"Mondays","template":"Random"}}`,
	"ai-qr-code-generator":     `{"content":"https://example.com","style":{"art_style":"Watercolor"}}`,
	"ai-talking-photo":         `{"start_seconds":0,"end_seconds":5.5,"assets":{"image_file_path":"image/1/a.png","audio_file_path":"audio/1/a.mp3"}}`,
	"ai-video-editor":          `{"end_seconds":5,"style":{"prompt":"make it snow"},"assets":{"video_file_path":"video/1/a.mp4"}}`,
	"ai-video-translator":      `{"end_seconds":10,"target_language":"Hindi","assets":{"video_file_path":"https://magichour.ai/my-library?videoId=clx1"}}`,
	"ai-voice-cloner":          `{"assets":{"audio_file_path":"https://example.com/a.flac"},"style":{"prompt":"Hello"}}`,
	"ai-voice-generator":       `{"style":{"prompt":"Hello","voice_name":"Morgan Freeman"}}`,
	"animation":                `{"fps":12,"end_seconds":15,"height":512,"width":512,"style":{"art_style":"Cyberpunk","camera_effect":"Bounce Out","prompt_type":"ai_choose","transition_speed":5},"assets":{"audio_source":"youtube","youtube_url":"https://www.youtube.com/watch?v=1"}}`,
	"audio-to-video":           `{"end_seconds":10,"assets":{"audio_file_path":"audio/1/a.mp3"},"resolution":"720p"}`,
	"auto-subtitle-generator":  `{"start_seconds":0,"end_seconds":15,"assets":{"video_file_path":"video/1/a.mov"},"style":{"template":"karaoke"}}`,
	"body-swap":                `{"resolution":"1k","assets":{"person_file_path":"image/1/a.png","scene_file_path":"image/1/b.png"}}`,
	"character-replace":        `{"end_seconds":5,"assets":{"video_file_path":"video/1/a.mp4","image_file_path":"image/1/a.png"},"style":{"selection_mode":"point","points":[{"position_x":1,"position_y":2,"time_seconds":0.5}]}}`,
	"face-swap":                `{"start_seconds":0,"end_seconds":15,"assets":{"video_source":"file","video_file_path":"https://example.com/a.gif","face_swap_mode":"individual-faces","face_mappings":[{"original_face":"api-assets/1/0-0.png","new_face":"saved-items/1/a.png"}]}}`,
	"face-swap-photo":          `{"assets":{"source_file_path":"image/1/a.png","target_file_path":"image/1/b.png"}}`,
	"head-swap":                `{"assets":{"body_file_path":"image/1/a.png","head_file_path":"image/1/b.png"},"max_resolution":1024}`,
	"image-background-remover": `{"assets":{"image_file_path":"image/1/a.png","background_image_file_path":"image/1/b.png"}}`,
	"image-to-video":           `{"end_seconds":5,"assets":{"image_file_path":"image/1/a.png"},"model":"ltx-2","audio":true}`,
	"lip-sync":                 `{"start_seconds":0,"end_seconds":15,"assets":{"video_source":"file","video_file_path":"video/1/a.mp4","audio_file_path":"audio/1/a.mp3"},"style":{"generation_mode":"pro"}}`,
	"photo-colorizer":          `{"assets":{"image_file_path":"HTTPS://EXAMPLE.COM/OLD.JPG?token=secret"}}`,
	"text-to-video":            `{"end_seconds":5,"style":{"prompt":"a dog"},"aspect_ratio":"9:16"}`,
	"video-to-video":           `{"start_seconds":0,"end_seconds":15,"style":{"art_style":"Minecraft","prompt":null},"assets":{"video_source":"file","video_file_path":"video/1/a.mp4"}}`,
}

// operation looks up what a test is sure to find.
func operation(tb testing.TB, name string) Operation {
	tb.Helper()
	o, ok := Lookup(name)
	if !ok {
		tb.Fatalf("Lookup(%q) found nothing", name)
	}
	return o
}
