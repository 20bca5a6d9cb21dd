package magichourtest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// uploadURL asks for one and returns it with its file_path.
func (h *harness) uploadURL(kind, extension string) (url, path string) {
	h.t.Helper()
	answer := h.must("POST", "/v1/files/upload-urls", `{"items":[{"type":"`+kind+`","extension":"`+extension+`"}]}`)
	item := answer["items"].([]any)[0].(map[string]any)
	return item["upload_url"].(string), item["file_path"].(string)
}

func TestUpload(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	url, path := h.uploadURL("video", "mp4")
	if !strings.HasPrefix(path, "api-assets/") || !strings.HasSuffix(path, "/video.mp4") {
		t.Errorf("file_path %s", path)
	}
	if _, ok := h.Uploaded(path); ok {
		t.Error("it is there before it was sent")
	}
	if got := h.do("PUT", url, "the bytes"); got.StatusCode != 200 {
		t.Fatalf("PUT: %s %s", got.Status, got.body)
	}
	file, ok := h.Uploaded(path)
	if !ok || string(file.Bytes) != "the bytes" || file.Size != 9 || len(file.SHA256) != 64 {
		t.Errorf("got %+v", file)
	}
	h.create("face-swap-photo", `"assets":{"source_file_path":"image/1.png","target_file_path":"`+path+`"}`)
	if h.Totals().Uploads != 1 || h.Totals().Violations != 0 {
		t.Errorf("totals: %+v", h.Totals())
	}
}

func TestUploadRefusals(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	url, _ := h.uploadURL("image", "png")
	if got := h.do("PUT", url, "x", "Authorization", "Bearer "+key); got.StatusCode != 400 {
		t.Errorf("with the key: %s", got.Status)
	}
	if got := h.do("GET", url, ""); got.StatusCode != 403 {
		t.Errorf("GET of an upload URL: %s", got.Status)
	}
	chunked, err := http.NewRequestWithContext(t.Context(), "PUT", url, io.MultiReader(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := h.client.Do(chunked)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 411 {
		t.Errorf("chunked: %s", resp.Status)
	}
	if got := h.Totals().Violations; got != 3 {
		t.Errorf("%d violations, want 3", got)
	}
	h.clock.advance(25 * time.Hour)
	if got := h.do("PUT", url, "x"); got.StatusCode != 403 {
		t.Errorf("expired: %s", got.Status)
	}
}

func TestCreateWithWhatCanNotBeRead(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	refused := func(path string, violations int) {
		t.Helper()
		got := h.call("POST", "/v1/photo-colorizer", `{"assets":{"image_file_path":"`+path+`"}}`)
		if got.StatusCode != 422 || h.Totals().Violations != violations || h.Totals().Creates != 0 {
			t.Errorf("%s: got %s, and %+v", path, got.Status, h.Totals())
		}
	}
	url, path := h.uploadURL("image", "png")
	refused("api-assets/x/image.png", 1)
	refused(path, 2)
	refused("s3://bucket/a.png", 3)
	if got := h.do("PUT", url, "the bytes"); got.StatusCode != 200 {
		t.Fatal(got.Status)
	}
	h.clock.advance(7*24*time.Hour + time.Second)
	refused(path, 3)
}
