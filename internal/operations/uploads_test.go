package operations

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUploadType(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, operation, field, file string
		want                         Kind
	}{
		{"a video", "lip-sync", "assets.video_file_path", "a.MOV", Video},
		{"a picture in a field that does not say what it takes", "face-swap-photo", "assets.source_file_path", "a.jpeg", Image},
		{"webm in a field for audio", "lip-sync", "assets.audio_file_path", "a.webm", Audio},
		{"webm in a field for video", "lip-sync", "assets.video_file_path", "a.webm", Video},
		{"a picture in a field for video: what it is", "face-swap", "assets.video_file_path", "a.webp", Image},
		{"an animated picture in the place of a video", "face-swap", "assets.video_file_path", "a.gif", Video},
		{"an animated picture elsewhere", "lip-sync", "assets.video_file_path", "a.gif", ""},
		{"a list", "ai-image-editor", "assets.image_file_paths[]", "a.png", Image},
		{"nothing that is known", "lip-sync", "assets.video_file_path", "a.svg", ""},
		{"no extension", "lip-sync", "assets.video_file_path", "mp4", ""},
	}
	for _, tt := range tests {
		if got := operation(t, tt.operation).uploadType(tt.field, extension(tt.file)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAssetsOf(t *testing.T) {
	t.Parallel()
	const body = `{"assets":{"target_file_path":"s3://b/a b?.PNG","face_mappings":[{"original_face":"api-assets/1/0.png","new_face":"./me.jpg"},{"new_face":"https://h/x.png?sig=1"}]}}`
	want := []Asset{
		{"assets.face_mappings[0].new_face", "./me.jpg", Image, "jpg"},
		{"assets.face_mappings[1].new_face", "https://h/x.png?sig=1", "", "png?sig=1"},
		{"assets.target_file_path", "s3://b/a b?.PNG", "", "png"},
	}
	want[1].Type, want[2].Type = "", Image
	got := operation(t, "face-swap-photo").AssetsOf([]byte(body))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("assets (-want +got):\n%s", diff)
	}
	if bucket, key, ok := got[2].Object(); !ok || bucket != "b" || key != "a b?.PNG" {
		t.Errorf("got bucket %q and key %q", bucket, key)
	}
	if _, _, ok := got[1].Object(); ok || !got[0].Local() || got[1].Local() || got[2].Local() {
		t.Errorf("objects and local files are not told apart: %+v", got)
	}
	for _, broken := range []string{``, `[]`, `{"assets":7}`, `{"assets":{"target_file_path":{}}}`} {
		if got := operation(t, "face-swap-photo").AssetsOf([]byte(broken)); len(got) != 0 {
			t.Errorf("%s: got %v", broken, got)
		}
	}
}

func TestWithAssets(t *testing.T) {
	t.Parallel()
	const body = `{"name":"<n>","big":12345678901234567890.5,"style":{"prompt":"s3://b/a.png"},"assets":{"image_file_paths":["s3://b/a.png","image/1.png",7],"image_file_path":null}}`
	got, err := operation(t, "ai-image-editor").WithAssets([]byte(body), func(a Asset) string { return strings.ToUpper(a.Ref) })
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"assets":{"image_file_path":null,"image_file_paths":["S3://B/A.PNG","IMAGE/1.PNG",7]},"big":12345678901234567890.5,"name":"\u003cn\u003e","style":{"prompt":"s3://b/a.png"}}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := operation(t, "ai-image-editor").WithAssets([]byte(`[1]`), nil); err == nil {
		t.Error("a list was taken as a request")
	}
}
