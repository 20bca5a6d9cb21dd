package magichour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// ErrStalled says that a media host has sent nothing for a minute.
var ErrStalled = errors.New("the media host has sent nothing for a minute")

// ErrRefused says that a media host refuses a URL, also a fresh one.
var ErrRefused = errors.New("the media host refuses the URL")

// ErrChanged says that a file is not the one any more whose beginning was read, or that the host does not
// resume: copy it from the beginning.
var ErrChanged = errors.New("the media host does not go on with the same file")

// Media is a file being downloaded.
type Media struct {
	Body        io.ReadCloser // ends in io.ErrUnexpectedEOF if it is cut short and can't be resumed, in ErrDamaged if it is not what the host said
	Size        int64         // bytes; -1 if the host did not say
	OpenEnded   bool          // the host marks the end in no way: a body that was cut looks whole
	ContentType string
}

// Open starts the download of an output. The key is not sent: the URL is signed. A URL that is refused
// with 401, 403, 404 or 410 has expired, and a fresh one for the same file is asked for; if there is no
// fresh (nil), or the fresh one is refused as well, that is ErrRefused. A body that breaks off is resumed
// where it was, if the host lets it be sure that the file is still the same; else its error comes out of
// Body. Safe to repeat. The caller closes the body, which also ends a Read that waits.
func (c *Client) Open(ctx context.Context, d Download, fresh func(context.Context) (Download, error)) (*Media, error) {
	s := &stream{client: c, link: d, fresh: fresh, tries: mostTries}
	s.ctx, s.end = context.WithCancel(ctx)
	resp, err := s.first()
	if err != nil {
		s.end()
		return nil, err
	}
	s.begin(resp)
	return &Media{
		Body: &checked{s, digestsIn(resp.Header)}, Size: resp.ContentLength, ContentType: resp.Header.Get("Content-Type"),
		OpenEnded: resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.ProtoMajor < 2,
	}, nil
}

// first returns the answer that the file begins with.
func (s *stream) first() (*answer, error) {
	resp, err := s.ask(s.ctx)
	if err == nil && expired(resp.StatusCode) && s.fresh != nil {
		resp.drop()
		if err = s.renew(); err == nil {
			resp, err = s.ask(s.ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := s.plausible(resp); err != nil {
		resp.drop()
		return nil, err
	}
	return resp, nil
}

// expired tells the answers of a media host to a URL that is too old, or whose file has moved.
func expired(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusNotFound || status == http.StatusGone
}

// plausible refuses a first answer that is no file.
func (s *stream) plausible(resp *answer) error {
	if resp.StatusCode != http.StatusOK {
		return s.refusal(resp)
	}
	if err := implausible(resp.Response); err != nil {
		return s.lost(err)
	}
	return nil
}

// encoding is what was done to the bytes of a file, which nobody has asked for; usually nothing.
func encoding(resp *http.Response) string {
	return strings.TrimPrefix(resp.Header.Get("Content-Encoding"), "identity")
}

// implausible refuses a 200 that is no media: nothing at all, or a page that a proxy has put in
// the place of a file. Such an answer passes, and must not be stored as the copy.
func implausible(resp *http.Response) error {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case encoding(resp) != "":
		return fmt.Errorf("status 200, but encoded (%s): these are not the bytes of the file", clip(Redact(encoding(resp))))
	case resp.ContentLength == 0:
		return errors.New("status 200, but an empty file")
	case err == nil && (strings.HasPrefix(media, "text/") || media == "application/json" || media == "application/xml"):
		return fmt.Errorf("status 200, but %s instead of a media file", media)
	}
	return nil
}
