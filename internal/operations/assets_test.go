package operations

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAssetMessage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, asset, want string
	}{
		{"https URL", "https://example.com/a/b.mp4", ""},
		{"http URL", "http://example.com/b.jpeg", ""},
		{"signed URL", "https://user:pass@example.com:8443/b.MOV?X-Sig=s3cret#t=1", ""},
		{"every listed extension counts", "https://example.com/b.weba", ""},
		{"library video", "https://magichour.ai/my-library?videoId=clx1", ""},
		{"library image", "https://magichour.ai/my-library?tab=1&imageId=clx1", ""},
		{"uploaded", "api-assets/clx1/video.mp4", ""},
		{"uploaded, other folder", "video/id/1234.mp4", ""},
		{"saved item without extension", "saved-items/abc", ""},

		{"empty", "", "must not be empty"},
		{"prefix alone", "api-assets/", badAsset},
		{"relative file", "cover.png", badAsset},
		{"absolute file", "/home/me/cover.png", badAsset},
		{"file URL", "file:///home/me/cover.png", badAsset},
		{"data URL", "data:image/png;base64,AAAA", badAsset},
		{"no host", "https:///cover.png", badAsset},
		{"port alone", "https://:443/cover.png", badAsset},
		{"not a URL", "https://[::1/cover.png", badAsset},
		{"no extension", "https://example.com/cover", badAsset},
		{"extension in the query only", "https://example.com/cover?file=a.png", badAsset},
		{"extension in the host only", "https://example.png", badAsset},
		{"other extension", "https://example.com/cover.svg", badAsset},
		{"gif", "https://example.com/cover.gif", badAsset},
		{"library without a project", "https://magichour.ai/my-library", badAsset},
		{"library elsewhere", "https://magichour.ai.example.com/my-library?videoId=1", badAsset},

		{"an object", "s3://bucket/cover.png", ""},
		{"an object whose key is no URL", "S3://bucket/100%/a?b#c d.PNG", ""},
		{"an object whose key begins with a slash", "s3://bucket//cover.png", ""},
		{"an object of an old bucket", "s3://Old_Bucket.1/cover.png", ""},
		{"a key and a secret in the place of a bucket", "s3://AKIA:secret@bucket/cover.png", badObject},
		{"an ARN", "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x/cover.png", badObject},
		{"a bucket with a line of its own", "s3://bucket\nx/cover.png", badObject},
		{"an object whose key leads elsewhere", "s3://bucket/a/../cover.png", badObject},
		{"an object without a bucket", "s3:///cover.png", badObject},
		{"an object without a key", "s3://bucket.png", badObject},
		{"a folder of a bucket", "s3://bucket/a.png/", badObject},
		{"an object without an extension", "s3://bucket/cover", badObject},
		{"an object of another extension", "s3://bucket/cover.svg", badObject},
		{"an object with a query: the key is literal", "s3://bucket/cover.png?versionId=1", badObject},
		{"an object whose key is too long", "s3://bucket/" + strings.Repeat("a", 1021) + ".png", badObject},
		{"an animated picture", "s3://bucket/cover.gif", badObject},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := assetMessage(tt.asset, false); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAssetsAreCheckedWhereverTheyStand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, body string
		want                  []string
	}{
		{"a field", "photo-colorizer", `{"assets":{"image_file_path":"a.png"}}`, []string{"assets.image_file_path: " + badAsset}},
		{"said once", "photo-colorizer", `{"assets":{"image_file_path":""}}`, []string{"assets.image_file_path: must not be empty"}},
		{"empty where the schema lets it be", "image-background-remover", `{"assets":{"image_file_path":""}}`, []string{"assets.image_file_path: must not be empty"}},
		{"a list", "ai-image-editor", `{"style":{"prompt":"x"},"assets":{"image_file_paths":["image/1.png","s3://bucket/2.svg"]}}`, []string{"assets.image_file_paths[1]: " + badObject}},
		{"a list of objects", "face-swap-photo", `{"assets":{"target_file_path":"image/1.png","face_swap_mode":"individual-faces","face_mappings":[{"original_face":"image/1.png","new_face":"b.png"}]}}`, []string{"assets.face_mappings[0].new_face: " + badAsset}},
		{"together with the schema's findings", "lip-sync", `{"start_seconds":0,"assets":{"audio_file_path":"s3://bucket/a.txt"}}`, []string{
			"assets.audio_file_path: " + badObject, "assets.video_source: required", "end_seconds: required",
		}},
		{"a gif is no video to lip-sync", "lip-sync", `{"start_seconds":0,"end_seconds":1,"assets":{"audio_file_path":"audio/1.mp3","video_source":"file","video_file_path":"https://example.com/a.gif"}}`, []string{"assets.video_file_path: " + badAsset}},
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

func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	for _, asset := range []string{
		"https://example.com/s3cret?sig=s3cret",
		"https://s3cret:s3cret@example.com/?a.png",
		"https://example.com:s3cret/a.png",
		"s3://bucket/a.png?s3cret",
		"s3://AKIA:s3cret@bucket/a.png",
		"https:/example.com/a.png?s3cret",
		"%zz?s3cret",
	} {
		_, err := operation(t, "photo-colorizer").Validate([]byte(`{"assets":{"image_file_path":"` + asset + `"}}`))
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got error %v", asset, err)
		}
	}
}
