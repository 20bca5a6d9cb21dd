package magichourtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// An upload is an input file that was asked for, and perhaps sent.
type upload struct {
	stored bool
	at     time.Time // when it was sent
	size   int64
	sha256 string
	bytes  []byte
}

// uploadLife is how long a file is kept.
const uploadLife = 7 * 24 * time.Hour

// unreadable says which asset of a request can't be read: a file that was never sent, or is not kept any
// more, or stands where this API has no access. When the real one notices, and what it answers, is not
// documented. To ask for what was never sent is a violation; a path of another kind is believed.
func (s *Server) unreadable(op operations.Operation, body []byte) string {
	for _, a := range op.AssetsOf(body) {
		_, _, object := a.Object()
		file, known := s.uploads[a.Ref]
		switch {
		case object:
			s.record(Event{Call: Violation, Status: http.StatusUnprocessableEntity, Detail: "an object of a bucket as " + a.Path})
			return a.Path + ": not a URL that can be read"
		case !strings.HasPrefix(a.Ref, "api-assets/"):
		case !known || !file.stored:
			s.record(Event{Call: Violation, Status: http.StatusUnprocessableEntity, Detail: "a file that was never uploaded as " + a.Path})
			return a.Path + ": file not found"
		case s.options.Now().Sub(file.at) > uploadLife:
			return a.Path + ": the file has expired"
		}
	}
	return ""
}

// keptBytes bounds what is kept of an upload; size and checksum are of all of it.
const keptBytes = 8 << 20

// uploadExtensions are those that the API takes for each type.
var uploadExtensions = map[string][]string{
	// Animated pictures may be sent for face-swap alone; under which type is not documented.
	"video": {"mp4", "m4v", "mov", "webm", "gif"},
	"audio": {"mp3", "wav", "aac", "flac", "webm", "weba", "m4a", "opus", "ogg", "oga", "aiff", "amr"},
	"image": {"png", "jpg", "jpeg", "jfif", "heic", "heif", "webp", "avif", "jp2", "tiff", "tif", "bmp", "gif"},
}

// uploadURLs hands out one signed URL per item.
func (s *Server) uploadURLs(req *request) reply {
	var wanted struct {
		Items []struct{ Type, Extension string }
	}
	if err := json.Unmarshal(req.body, &wanted); err != nil {
		return refuse(http.StatusBadRequest, "The request body is not what is expected")
	}
	if len(wanted.Items) == 0 {
		return refuse(http.StatusUnprocessableEntity, "items: at least one is needed")
	}
	for _, item := range wanted.Items {
		if !slices.Contains(uploadExtensions[item.Type], item.Extension) {
			message := fmt.Sprintf("'%s' is an invalid %s extension. Supported: %s", item.Extension, item.Type,
				strings.Join(uploadExtensions[item.Type], ", "))
			return refuse(http.StatusUnprocessableEntity, message)
		}
	}
	type item struct {
		UploadURL string `json:"upload_url"`
		ExpiresAt string `json:"expires_at"`
		FilePath  string `json:"file_path"`
	}
	items := []item{}
	for _, w := range wanted.Items {
		path := fmt.Sprintf("api-assets/%s/%s.%s", s.id("upload", len(s.uploads)+1), w.Type, w.Extension)
		s.uploads[path] = &upload{}
		signed := s.sign(http.MethodPut, "/"+path)
		items = append(items, item{signed.URL, signed.ExpiresAt, path})
	}
	return reply{status: http.StatusOK, body: map[string]any{"items": items}, detail: fmt.Sprintf("%d urls", len(items))}
}

// storeUpload takes the bytes of a PUT whose signature is right.
func (s *Server) storeUpload(w http.ResponseWriter, r *http.Request, fault *Fault) {
	filePath := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if r.ContentLength < 0 {
		s.note(Event{Call: Violation, Status: http.StatusLengthRequired, Detail: "chunked upload: " + filePath})
		refuseMedia(w, http.StatusLengthRequired, "MissingContentLength")
		return
	}
	stored, err := receive(r.Body)
	if err != nil {
		s.note(Event{Call: Upload, Status: http.StatusBadRequest, Detail: filePath + ": " + err.Error()})
		refuseMedia(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	s.mu.Lock()
	stored.at = s.options.Now()
	s.uploads[filePath] = stored
	s.ledger.totals.Uploads++
	s.record(Event{Call: Upload, Status: http.StatusOK, Detail: fmt.Sprintf("%s: %d bytes", filePath, stored.size)})
	s.mu.Unlock()
	if fault.after() && s.fail(w, r, fault) {
		return
	}
	w.Header().Set("ETag", `"`+stored.sha256[:32]+`"`)
	w.WriteHeader(http.StatusOK)
}

// receive keeps the beginning and counts and hashes all.
func receive(body io.Reader) (*upload, error) {
	hash := sha256.New()
	begin, err := io.ReadAll(io.TeeReader(io.LimitReader(body, keptBytes), hash))
	if err != nil {
		return nil, err
	}
	rest, err := io.Copy(hash, body)
	if err != nil {
		return nil, err
	}
	return &upload{stored: true, size: int64(len(begin)) + rest, sha256: hex.EncodeToString(hash.Sum(nil)), bytes: begin}, nil
}

// An UploadedFile is an input that was sent to the media host.
type UploadedFile struct {
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // lower-case hex
	Bytes  []byte `json:"-"`      // the first 8 MiB
}

// Uploaded returns the file that was sent for a file_path, and whether one was.
func (s *Server) Uploaded(filePath string) (UploadedFile, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.uploads[filePath]
	if !ok || !u.stored {
		return UploadedFile{}, false
	}
	return UploadedFile{u.size, u.sha256, slices.Clone(u.bytes)}, true
}
