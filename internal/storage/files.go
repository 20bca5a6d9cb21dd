package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Files reads what a Store has kept, by the URLs of its objects: for whoever fetches or shows the files of a job. It
// writes nothing, and needs s3:GetObject. It is safe for concurrent use.
type Files struct {
	options Options
	mu      sync.Mutex
	client  *s3.Client // made for the first s3:// URL
}

// NewFiles returns a reader. Nothing is asked for before the first file.
func NewFiles(o Options) *Files { return &Files{options: o} }

// Open opens the object that rawURL names, s3://bucket/key or file:///path, as Object.URL has it. It reads from where
// it was sought to, and asks S3 for no more than that. One that is not there is fs.ErrNotExist. The caller closes it;
// ctx lasts for as long as it is read.
func (f *Files) Open(ctx context.Context, rawURL string) (io.ReadSeekCloser, error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	switch scheme {
	case "file":
		return openPath(rawURL)
	case "s3":
		if bucket, key, ok := strings.Cut(rest, "/"); ok {
			return f.openObject(ctx, bucket, key)
		}
	}
	return nil, fmt.Errorf("%q: want s3://bucket/key or file:///path: %w", withoutSecrets(rawURL), fs.ErrInvalid)
}

func openPath(rawURL string) (*os.File, error) {
	where, err := url.Parse(rawURL)
	if err != nil || where.Host != "" {
		return nil, fmt.Errorf("%q: want file:///path: %w", rawURL, fs.ErrInvalid)
	}
	at, err := parseDir(where.EscapedPath())
	if err != nil {
		return nil, fmt.Errorf("%q: %w: %w", rawURL, err, fs.ErrInvalid)
	}
	file, err := os.Open(at.dir)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s: not a file: %w", at.dir, fs.ErrInvalid), err, file.Close())
	}
	return file, nil
}

func (f *Files) openObject(ctx context.Context, bucket, key string) (*object, error) {
	client, err := f.connect(ctx)
	if err != nil {
		return nil, err
	}
	o := &object{ctx: ctx, client: client, bucket: bucket, key: key}
	out, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, o.failed(err)
	}
	o.size, o.etag = aws.ToInt64(out.ContentLength), aws.ToString(out.ETag)
	return o, nil
}

func (f *Files) connect(ctx context.Context) (*s3.Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.client != nil {
		return f.client, nil
	}
	client, err := newClient(ctx, f.options)
	f.client = client
	return client, err
}

// An object of S3 is read from where it was sought to, in one request until it is sought again.
type object struct {
	ctx         context.Context
	client      *s3.Client
	bucket, key string
	size        int64
	etag        string
	at          int64
	body        io.ReadCloser
}

// Read implements io.Reader.
func (o *object) Read(p []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if o.body == nil {
		out, err := o.client.GetObject(o.ctx, &s3.GetObjectInput{
			Bucket: &o.bucket, Key: &o.key, IfMatch: optional(o.etag), Range: aws.String(fmt.Sprintf("bytes=%d-", o.at)),
		})
		if err != nil {
			return 0, o.failed(err)
		}
		o.body = out.Body
	}
	n, err := o.body.Read(p)
	o.at += int64(n)
	if errors.Is(err, io.EOF) && o.at < o.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	if offset == o.at {
		return offset, nil
	}
	o.at = offset
	return offset, o.Close()
}

// Close implements io.Closer.
func (o *object) Close() error {
	if o.body == nil {
		return nil
	}
	body := o.body
	o.body = nil
	return body.Close()
}

func (o *object) failed(err error) error {
	switch status(err) {
	case http.StatusNotFound:
		err = fs.ErrNotExist
	case http.StatusForbidden:
		err = fmt.Errorf("%w; grant s3:GetObject there, or check the credentials and AWS_ENDPOINT_URL_S3", readable(err))
	default:
		err = readable(err)
	}
	return fmt.Errorf("read s3://%s/%s: %w", o.bucket, o.key, err)
}
