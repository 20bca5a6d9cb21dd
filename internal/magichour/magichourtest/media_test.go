package magichourtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/gif"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMediaArePlayable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		operation, members, contentType string
		check                           func([]byte) error
	}{
		{"face-swap", `"name":"x"`, "video/mp4", checkMP4},
		{"ai-image-generator", `"image_count":4`, "image/png", checkPNG},
		{"ai-voice-generator", `"name":"x"`, "audio/wav", checkWAV},
		{"ai-gif-generator", `"name":"x"`, "image/gif", checkGIF},
		{"ai-gif-generator", `"output_format":"mp4"`, "video/mp4", checkMP4},
		{"ai-gif-generator", `"output_format":"webm"`, "video/webm", checkWebM},
	}
	for _, test := range tests {
		t.Run(test.operation+" "+test.contentType, func(t *testing.T) {
			t.Parallel()
			h := start(t, Options{})
			_, first := h.finished(test.operation, test.members)
			_, second := h.finished(test.operation, test.members)
			seen := map[string]bool{}
			all := append(urls(first), urls(second)...)
			for _, u := range all {
				got := h.download(u)
				if got.Header.Get("Content-Type") != test.contentType || got.ContentLength != int64(len(got.body)) {
					t.Errorf("headers: %v", got.Header)
				}
				if err := test.check(got.body); err != nil {
					t.Error(err)
				}
				probe(t, got.body)
				seen[string(got.body)] = true
			}
			if len(seen) != len(all) {
				t.Errorf("%d different files, want %d", len(seen), len(all))
			}
		})
	}
}

func checkPNG(b []byte) error {
	_, err := png.Decode(bytes.NewReader(b))
	return err
}

func checkGIF(b []byte) error {
	film, err := gif.DecodeAll(bytes.NewReader(b))
	if err == nil && len(film.Image) < 2 {
		err = fmt.Errorf("%d frames", len(film.Image))
	}
	return err
}

func checkWAV(b []byte) error {
	size := int(binary.LittleEndian.Uint32(b[4:]))
	data := int(binary.LittleEndian.Uint32(b[40:]))
	if string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " || string(b[36:40]) != "data" || size+8 != len(b) || data+44 != len(b) {
		return fmt.Errorf("bad header %x", b[:44])
	}
	return nil
}

// checkMP4 walks the boxes to the very end.
func checkMP4(b []byte) error {
	var boxes []string
	for len(b) >= 8 {
		size := int(binary.BigEndian.Uint32(b))
		if size < 8 || size > len(b) {
			return fmt.Errorf("box of %d bytes, %d are left", size, len(b))
		}
		boxes = append(boxes, string(b[4:8]))
		b = b[size:]
	}
	if got := strings.Join(boxes, " "); len(b) != 0 || got != "ftyp moov free mdat free" && got != "ftyp moov mdat free" {
		return fmt.Errorf("boxes %s, and %d bytes", got, len(b))
	}
	return nil
}

func checkWebM(b []byte) error {
	if !bytes.HasPrefix(b, []byte{0x1A, 0x45, 0xDF, 0xA3}) || b[len(b)-padding-3] != 0xEC {
		return fmt.Errorf("not WebM with a void element at the end")
	}
	return nil
}

// probe asks ffprobe, where there is one.
func probe(t *testing.T, media []byte) {
	t.Helper()
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		return
	}
	path := filepath.Join(t.TempDir(), "media")
	if err := os.WriteFile(path, media, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), ffprobe, "-v", "warning", "-count_frames", path).CombinedOutput() //nolint:gosec // it is ffprobe
	if err != nil || len(out) > 0 {
		t.Errorf("ffprobe: %v: %s", err, out)
	}
}

func TestTrueBytes(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, 15, 16, 17, 1_000_003} {
		h := start(t, Options{OutputSize: size})
		id, project := h.finished("ai-image-generator", `"image_count":3`)
		outputs, err := h.Outputs(id)
		if err != nil || len(outputs) != 3 {
			t.Fatal(outputs, err)
		}
		for _, u := range urls(project) {
			got := h.download(u)
			if size > 0 && int64(len(got.body)) != size {
				t.Errorf("size %d: got %d bytes", size, len(got.body))
			}
			want, err := h.OutputAt(got.Request.URL.Path)
			if err != nil {
				t.Fatal(err)
			}
			equalBytes(t, got.body, want)
		}
		second, err := h.Output(id, 2)
		if err != nil || int64(len(second)) != outputs[1].Size {
			t.Errorf("output 2: %d bytes, %v", len(second), err)
		}
	}
}

func TestPathsStayAndQueriesChange(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id, _ := h.finished("ai-image-generator", `"image_count":4`)
	paths, queries, orders := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for range 20 {
		order := ""
		for _, raw := range urls(h.get("image", id)) {
			u, err := url.Parse(raw)
			if err != nil || !strings.HasSuffix(u.Path, "/output.png") || !strings.HasPrefix(raw, h.MediaURL()+"/") {
				t.Fatalf("%s: %v", raw, err)
			}
			paths[u.Path], queries[u.RawQuery] = true, true
			order += u.Path
		}
		orders[order] = true
	}
	if len(paths) != 4 || len(queries) != 80 || len(orders) < 5 {
		t.Errorf("%d paths, %d queries, %d orders", len(paths), len(queries), len(orders))
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	h := start(t, Options{URLTTL: time.Minute})
	_, project := h.finished("face-swap")
	good := urls(project)[0]
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	rewritten := *u
	rewritten.RawQuery = u.Query().Encode() // the same parameters in other bytes
	_, other := h.finished("face-swap")
	otherQuery := urls(other)[0][strings.IndexByte(urls(other)[0], '?'):]
	h.clock.advance(-time.Hour) // finished moved the clock past the first one's life
	tests := []struct {
		name, url string
		headers   []string
		status    int
		violates  bool
	}{
		{"as it is", good, nil, 200, false},
		{"without query", h.MediaURL() + u.Path, nil, 403, true},
		{"query written anew", rewritten.String(), nil, 403, true},
		{"one more parameter", good + "&x=1", nil, 403, true},
		{"of another file", h.MediaURL() + u.Path + otherQuery, nil, 403, true},
		{"with the key", good, []string{"Authorization", "Bearer " + key}, 400, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := h.Totals().Violations
			if got := h.download(test.url, test.headers...); got.StatusCode != test.status {
				t.Errorf("got %s, want %d", got.Status, test.status)
			}
			if violated := h.Totals().Violations > before; violated != test.violates {
				t.Errorf("violation: %v, want %v", violated, test.violates)
			}
		})
	}
	h.clock.advance(time.Minute)
	if got := h.download(good); got.StatusCode != 403 || h.Ledger().Events[len(h.Ledger().Events)-1].Call != Download {
		t.Errorf("expired: %s", got.Status)
	}
	if got := h.do("HEAD", good, ""); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %s", got.Status)
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	h := start(t, Options{OutputSize: 1000})
	id, project := h.finished("face-swap")
	u := urls(project)[0]
	whole, err := h.Output(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag := h.download(u).Header.Get("ETag")
	if !strings.HasPrefix(tag, `"`) {
		t.Fatalf("ETag %s is not strong", tag)
	}
	tests := []struct {
		name    string
		headers []string
		status  int
		want    []byte
	}{
		{"the end", []string{"Range", "bytes=990-"}, 206, whole[990:]},
		{"the middle, off any block", []string{"Range", "bytes=333-666"}, 206, whole[333:667]},
		{"if it is the same", []string{"Range", "bytes=10-", "If-Range", tag}, 206, whole[10:]},
		{"if it is another", []string{"Range", "bytes=10-", "If-Range", `"other"`}, 200, whole},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := h.download(u, test.headers...)
			if got.StatusCode != test.status {
				t.Errorf("got %s, want %d", got.Status, test.status)
			}
			equalBytes(t, got.body, test.want)
		})
	}
	if got := h.download(u, "Range", "bytes=2000-"); got.StatusCode != 416 {
		t.Errorf("beyond: %s", got.Status)
	}
}

func TestFilesGoWithTheProject(t *testing.T) {
	t.Parallel()
	h := start(t, Options{})
	id, project := h.finished("face-swap")
	h.must("DELETE", "/v1/video-projects/"+id, "")
	if got := h.download(urls(project)[0]); got.StatusCode != 404 {
		t.Errorf("got %s, want 404", got.Status)
	}
	if outputs, err := h.Outputs(id); err != nil || len(outputs) != 1 {
		t.Errorf("a test can't compare any more: %v", err)
	}
}

// TestBreaksWhereItIsTold: a body breaks off at a chosen byte of what is sent, of a range too.
func TestBreaksWhereItIsTold(t *testing.T) {
	t.Parallel()
	h := start(t, Options{OutputSize: 1000, Behavior: Behavior{Body: Truncated, BreakAt: 300, BodyTimes: 2}})
	id, project := h.finished("face-swap")
	whole, err := h.Output(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{0, 500} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, urls(project)[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("from %d: got %v, want io.ErrUnexpectedEOF", from, err)
		}
		equalBytes(t, got, whole[from:from+300])
	}
}

func TestEditions(t *testing.T) {
	t.Parallel()
	h := start(t, Options{OutputSize: 1000})
	id, project := h.finished("face-swap")
	first := h.download(urls(project)[0])
	h.SetBehavior(id, Behavior{Edition: 1})
	second := h.download(urls(project)[0])
	if bytes.Equal(first.body, second.body) || first.Header.Get("ETag") == second.Header.Get("ETag") {
		t.Error("another edition has the same bytes, or the same ETag")
	}
	want, err := h.Output(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	equalBytes(t, second.body, want)
}
