package magichour

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/seed-290c2414/hourglass/internal/operations"
)

// UploadLife is for how long a path of an uploaded file is used: a day less than the seven that the API
// keeps the file, for renders that begin late.
//
// Source: https://docs.magichour.ai/integration/input-files
const UploadLife = 6 * 24 * time.Hour

// LargestUpload is what one PUT can carry at most, in bytes; the API offers no other way. The account's
// tier may allow less.
const LargestUpload = 5 << 30

// CodeTooLarge is the API's own word for a file that the account's tier does not allow.
const CodeTooLarge = "file_too_large"

// A File is what is to be uploaded.
type File struct {
	Type      operations.Kind
	Extension string // lower case, without a dot
	Size      int64  // bytes
}

// ContentID names content of a file as an upload of it, for a list of what is uploaded already: equal for
// equal files and equal content, and different for every key and API, since only the account that has
// uploaded a file can read it. It does not reveal what it is made of.
func (c *Client) ContentID(f File, content string) (string, error) {
	key, err := c.key()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	mac := hmac.New(sha256.New, []byte(key))
	// A list in JSON: no two lists read the same.
	text, err := json.Marshal([]string{c.base.String(), string(f.Type), f.Extension, content})
	if err != nil {
		return "", err
	}
	_, _ = mac.Write(text) // never fails
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// Upload sends a file to the API's storage, as a stream, and returns the path by which requests may name
// it. It takes as long as it gets on: bytes that stand still for a minute are ErrUploadStalled. A file that
// turns out longer or shorter than announced is never stored. It closes the body, also to end a Read that
// is under way when the upload is called off. Safe to repeat, and free.
//
// Source: POST /v1/files/upload-urls
// https://docs.magichour.ai/api-reference/files/generate-asset-upload-urls
func (c *Client) Upload(ctx context.Context, f File, body io.ReadCloser) (filePath string, err error) {
	defer func() { _ = body.Close() }() // it was only read
	const path = "/v1/files/upload-urls"
	if f.Size < 1 {
		return "", errors.New("there is nothing to upload: the file is empty")
	}
	type item struct {
		Type      operations.Kind `json:"type"`
		Extension string          `json:"extension"`
	}
	request, err := json.Marshal(map[string][]item{"items": {{f.Type, f.Extension}}})
	if err != nil {
		return "", err
	}
	var answer struct {
		Items []struct {
			UploadURL string `json:"upload_url"`
			FilePath  string `json:"file_path"`
		}
	}
	if err := c.do(ctx, c.api, http.MethodPost, path, request, &answer); err != nil {
		return "", err
	}
	if len(answer.Items) != 1 || answer.Items[0].FilePath == "" {
		return "", &TransportError{Method: http.MethodPost, Path: path, Written: true, Err: fmt.Errorf("asked for one upload, the answer is about %d, or has no path", len(answer.Items))}
	}
	return answer.Items[0].FilePath, c.send(ctx, answer.Items[0].UploadURL, f.Size, body)
}

// ErrUploadStalled says that an upload has stood still for a minute, at whichever end.
var ErrUploadStalled = errors.New("the upload has stood still for a minute")

// toUpload stands for the URL in errors. Its path is that of the file, which is nobody else's business.
const toUpload = "to an upload URL"

// send puts the bytes where the API wants them. The key is not sent: the URL is signed.
func (c *Client) send(ctx context.Context, signed string, size int64, body io.ReadCloser) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Without that the request would not end before the Read does.
	defer context.AfterFunc(ctx, func() { _ = body.Close() })()
	moving := &watched{Reader: body, limit: c.IdleLimit, stalled: func() { cancel(ErrUploadStalled) }}
	defer moving.stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, signed, io.NopCloser(moving))
	if err != nil {
		return &TransportError{Method: http.MethodPut, Path: toUpload, Err: withoutURL(err)}
	}
	req.ContentLength = size // else it would go in chunks, which such URLs refuse
	resp, err := c.put.Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return &TransportError{Method: http.MethodPut, Path: toUpload, Written: true, Err: redactedError(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return uploadRefused(resp)
	case moving.read() != size:
		return &TransportError{Method: http.MethodPut, Path: toUpload, Written: true, Err: fmt.Errorf("%s, but not all of the file was taken", resp.Status)}
	}
	return nil
}

// uploadRefused reads an answer that says no. Only one that is about the file itself, about too many
// requests, or about trouble of the host is an *Error: a 401 would read as one about the key, and any other
// is as good as a URL that has expired.
func uploadRefused(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // for its code alone
	var said struct{ Code string }
	_ = xml.NewDecoder(bytes.NewReader(text)).Decode(&said)
	switch {
	case resp.StatusCode == http.StatusRequestEntityTooLarge, said.Code == "EntityTooLarge":
		return &Error{Method: http.MethodPut, Path: toUpload, Status: http.StatusRequestEntityTooLarge, Code: CodeTooLarge, Message: "the file is larger than the account's tier allows"}
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode >= 500:
		return &Error{Method: http.MethodPut, Path: toUpload, Status: resp.StatusCode, Message: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	}
	return fmt.Errorf("%w: PUT %s: %s", ErrRefused, toUpload, resp.Status)
}

// watched notices that nobody reads any more, since the other end does not take it, or that there is
// nothing to read.
type watched struct {
	io.Reader
	limit   time.Duration
	stalled func()

	mu    sync.Mutex
	timer *time.Timer
	n     int64 // bytes read
	ended bool
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	w.again(w.limit, 0)
	n, err := w.Reader.Read(p)
	limit := w.limit
	if err != nil {
		limit *= 2 // the client's own limit for the answer comes first
	}
	w.again(limit, n)
	return n, err
}

func (w *watched) again(limit time.Duration, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n += int64(n)
	switch {
	case w.ended:
	case w.timer == nil:
		w.timer = time.AfterFunc(limit, w.stalled)
	default:
		w.timer.Reset(limit)
	}
}

func (w *watched) read() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// stop ends the watch: the answer is there, or will never be.
func (w *watched) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
}
