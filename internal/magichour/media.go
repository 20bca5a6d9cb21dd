package magichour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// idleLimit is how long a download may stand still between two reads.
const idleLimit = time.Minute

// ErrStalled says that a media host has sent nothing for a minute.
var ErrStalled = errors.New("the media host has sent nothing for a minute")

// Media is a file being downloaded.
type Media struct {
	Body        io.ReadCloser // ends in io.ErrUnexpectedEOF if it is cut short
	Size        int64         // bytes; -1 if the host did not say
	OpenEnded   bool          // the host marks the end in no way: a body that was cut looks whole
	ContentType string
}

// Open starts the download of an output. The key is not sent: the URL is signed. An *Error with
// status 401, 403, 404 or 410 means that the URL has expired: ask for the project again. Its
// path names the output, without the signature. Safe to repeat. The caller closes the body.
func (c *Client) Open(ctx context.Context, d Download) (*Media, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	media, err := c.open(ctx, d)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	media.Body = &idleReader{body: media.Body, cancel: cancel, ctx: ctx}
	return media, nil
}

func (c *Client) open(ctx context.Context, d Download) (*Media, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return nil, &TransportError{Method: http.MethodGet, Path: d.Path(), Err: redactedError(err)}
	}
	resp, err := c.media.Do(req)
	if err != nil {
		return nil, &TransportError{Method: http.MethodGet, Path: d.Path(), Written: true, Err: redactedError(err)}
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, &Error{Method: http.MethodGet, Path: d.Path(), Status: resp.StatusCode, Message: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	}
	if err := implausible(resp); err != nil {
		_ = resp.Body.Close()
		return nil, &TransportError{Method: http.MethodGet, Path: d.Path(), Written: true, Err: err}
	}
	return &Media{
		Body: resp.Body, Size: resp.ContentLength, ContentType: resp.Header.Get("Content-Type"),
		OpenEnded: resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.ProtoMajor < 2,
	}, nil
}

// implausible refuses a 200 that is no media: nothing at all, or a page that a proxy has put in
// the place of a file. Such an answer passes, and must not be stored as the copy.
func implausible(resp *http.Response) error {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.ContentLength == 0:
		return errors.New("status 200, but an empty file")
	case err == nil && (strings.HasPrefix(media, "text/") || media == "application/json" || media == "application/xml"):
		return fmt.Errorf("status 200, but %s instead of a media file", media)
	}
	return nil
}

// idleReader gives up on a body that stands still, however long the whole may take.
type idleReader struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // the request's own, for the cause of its end
	cancel context.CancelCauseFunc
}

func (r *idleReader) Read(p []byte) (int, error) {
	timer := time.AfterFunc(idleLimit, func() { r.cancel(ErrStalled) })
	n, err := r.body.Read(p)
	timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(r.ctx), ErrStalled) {
		err = ErrStalled
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read from the media host: %w", redactedError(err))
	}
	return n, err
}

func (r *idleReader) Close() error {
	r.cancel(nil)
	return r.body.Close()
}
