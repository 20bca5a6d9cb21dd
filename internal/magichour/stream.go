package magichour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// idleLimit is how long a download may stand still between two reads.
	idleLimit = time.Minute

	// mostTries is how often a download is resumed without getting on. There is no limit in time or
	// number to one that gets on: every triesPer bytes win a try back.
	mostTries = 6
	triesPer  = 64 << 10

	// firstPause is between the second try in vain and the third, and doubles: 6 s for all of them.
	firstPause = 200 * time.Millisecond
)

// A stream reads one file over as many connections as it takes. It is a Media's body.
type stream struct {
	client *Client
	ctx    context.Context // of the whole download
	end    context.CancelFunc
	link   Download
	fresh  func(context.Context) (Download, error)

	mu    sync.Mutex // guards from for Close, which may come in the middle of a Read
	from  *answer    // the connection that is read
	at    int64      // bytes read
	size  int64      // bytes; -1 if not known yet, and then from the first range on
	tag   string     // the file's strong ETag; without one nobody knows that the rest is of the same file
	tries int        // left
	won   int64      // bytes towards the next one
}

func (s *stream) begin(resp *answer) {
	s.from, s.size = resp, resp.ContentLength
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		s.tag = tag
	}
}

// Read implements io.Reader.
func (s *stream) Read(p []byte) (int, error) {
	for {
		n, err := s.from.Read(p)
		s.advance(int64(n))
		if s.size >= 0 && s.at > s.size || s.from.end >= 0 && s.at > s.from.end {
			return 0, ErrChanged
		}
		if errors.Is(err, io.EOF) && s.at < s.size {
			err = io.ErrUnexpectedEOF // of a range that was cut, or that is shorter than asked for
		}
		if n > 0 && err != nil && !errors.Is(err, io.EOF) {
			return n, nil // the error comes again
		}
		if err == nil || errors.Is(err, io.EOF) {
			return n, err
		}
		if err := s.resume(fmt.Errorf("read from the media host: %w", redactedError(err))); err != nil {
			return 0, err
		}
	}
}

func (s *stream) advance(n int64) {
	s.at += n
	s.won += n
	if s.won >= triesPer {
		s.tries = min(mostTries, s.tries+int(s.won/triesPer))
		s.won %= triesPer
	}
}

// Close implements io.Closer. It ends a Read that waits.
func (s *stream) Close() error {
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from.drop()
	return nil
}

func (s *stream) goOnWith(resp *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = resp
}

// resume finds a connection that goes on where the last one broke off, or says why there is none.
func (s *stream) resume(why error) error {
	s.from.drop()
	for s.tag != "" && s.tries > 0 {
		if err := s.pause(); err != nil {
			return err
		}
		s.tries--
		resp, err := s.ask(s.ctx)
		if err != nil {
			why = err
			continue
		}
		goesOn, err := s.goesOn(resp)
		if goesOn {
			s.goOnWith(resp)
			return nil
		}
		resp.drop()
		switch {
		case errors.Is(err, ErrChanged):
			return err
		case expired(resp.StatusCode) && s.fresh != nil:
			if err := s.renew(); err != nil {
				return err
			}
		}
		why = err
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return why
}

// goesOn reports whether an answer is the rest of the same file. A range may be shorter than asked for, so
// that its end says nothing: the file's length must be known by then.
func (s *stream) goesOn(resp *answer) (bool, error) {
	from, end, total, ok := contentRange(resp.Header.Get("Content-Range"))
	tag := resp.Header.Get("ETag")
	same := ok && encoding(resp.Response) == "" && max(total, s.size) >= 0 && (total < 0 || s.size < 0 || total == s.size) && (tag == "" || tag == s.tag)
	switch {
	case resp.StatusCode == http.StatusPartialContent && same && from == s.at:
		s.size = max(total, s.size)
		resp.end = end
		return true, nil
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && same && total == s.at:
		resp.ended = true // all of it has come, only not the mark of its end
		return true, nil
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return false, ErrChanged
	}
	return false, s.refusal(resp)
}

// contentRange reads "bytes 5-9/10", "bytes 5-9/*" and "bytes */10": the first byte, the one after the last,
// and how many there are. What is not said is -1.
func contentRange(v string) (from, end, total int64, ok bool) {
	v, isBytes := strings.CutPrefix(v, "bytes ")
	span, all, cut := strings.Cut(v, "/")
	if !isBytes || !cut {
		return 0, 0, 0, false
	}
	from, end, total = -1, -1, -1
	var errs [3]error
	if all != "*" {
		total, errs[0] = strconv.ParseInt(all, 10, 64)
	}
	if span != "*" {
		first, last, _ := strings.Cut(span, "-")
		from, errs[1] = strconv.ParseInt(first, 10, 64)
		end, errs[2] = strconv.ParseInt(last, 10, 64)
		end++
	}
	return from, end, total, errors.Join(errs[:]...) == nil
}

// pause waits before a try in vain is repeated; the first one is made at once.
func (s *stream) pause() error {
	inVain := mostTries - s.tries
	if inVain == 0 {
		return nil
	}
	timer := time.NewTimer(s.client.pause << (inVain - 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func (s *stream) renew() (err error) {
	s.link, err = s.fresh(s.ctx)
	if err != nil {
		return fmt.Errorf("ask for a fresh URL: %w", err)
	}
	return nil
}

// ask sends one request for what is still to be read.
func (s *stream) ask(ctx context.Context) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.link.URL, nil)
	if err != nil {
		cancel(nil)
		return nil, s.lost(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if s.at > 0 || s.from != nil {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", s.at))
		req.Header.Set("If-Range", s.tag)
	}
	resp, err := s.client.media.Do(req) //nolint:bodyclose // by drop
	if err != nil {
		cancel(nil)
		return nil, s.lost(err)
	}
	a := &answer{Response: resp, ctx: ctx, cancel: cancel, limit: s.client.IdleLimit, end: -1}
	a.idle = time.AfterFunc(a.limit, func() { cancel(ErrStalled) })
	a.idle.Stop()
	return a, nil
}

func (s *stream) lost(err error) error {
	return &TransportError{Method: http.MethodGet, Path: s.link.Path(), Written: true, Err: redactedError(err)}
}

// refusal is no *Error where that would read as one of the API, whose 401 is about the key, and whose
// redirect is about MAGIC_HOUR_BASE_URL.
func (s *stream) refusal(resp *answer) error {
	switch {
	case expired(resp.StatusCode):
		return fmt.Errorf("%w: GET %s: %d %s", ErrRefused, s.link.Path(), resp.StatusCode, http.StatusText(resp.StatusCode))
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return s.lost(fmt.Errorf("status %d, a redirect to nowhere", resp.StatusCode))
	}
	return &Error{
		Method: http.MethodGet, Path: s.link.Path(), Status: resp.StatusCode,
		Message: http.StatusText(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After")),
	}
}

// An answer is one connection's part of a download. Its body gives up when it stands still, however long
// the whole may take.
type answer struct {
	*http.Response
	ctx    context.Context // of this request, for the cause of its end
	cancel context.CancelCauseFunc
	idle   *time.Timer
	limit  time.Duration // of idle
	end    int64         // where in the file its range ends; -1 if it has none
	ended  bool          // it has no body: all has come already
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	if a.ended {
		return 0, io.EOF
	}
	a.idle.Reset(a.limit)
	n, err := a.Body.Read(p)
	a.idle.Stop()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(a.ctx), ErrStalled) {
		err = ErrStalled
	}
	return n, err
}

// drop ends the request.
func (a *answer) drop() {
	a.cancel(nil)
	_ = a.Body.Close()
}
