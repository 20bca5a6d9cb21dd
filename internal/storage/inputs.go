package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var (
	// ErrForbiddenBucket says that a bucket is not among those that inputs may be read from. Nobody was
	// asked.
	ErrForbiddenBucket = errors.New("not a bucket that inputs may be read from")

	// ErrInputChanged says that an object is not the one any more that was asked about.
	ErrInputChanged = errors.New("the object has changed meanwhile")
)

// bucketName is what may stand in the list of Inputs: a bare name. Old buckets have capitals and underscores.
var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$`)

// Inputs reads the objects that callers name as inputs of their jobs: from a list of buckets, and from
// nowhere else, since what is read is sent to another company. It needs s3:GetObject there, and
// s3:ListBucket for S3 to say of an object that it is missing. It is no Store, writes nothing, and no error
// of it holds a key. It is safe for concurrent use.
type Inputs struct {
	client  *s3.Client
	buckets []string
}

// An Input is an object as it was when it was asked about.
type Input struct {
	Bucket, Key string
	Size        int64  // bytes
	ETag        string // names the content; of no use as a checksum
}

// OpenInputs returns a reader of the given buckets, for whose access holds what holds for a Store.
// Nothing is asked for before the first input.
func OpenInputs(ctx context.Context, buckets []string, o Options) (*Inputs, error) {
	for _, name := range buckets {
		if !bucketName.MatchString(name) {
			return nil, fmt.Errorf("%q is no name of a bucket", name)
		}
	}
	client, err := newClient(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Inputs{client: client, buckets: slices.Clone(buckets)}, nil
}

// Allows reports whether inputs may be read from a bucket. A nil reader reads nothing.
func (in *Inputs) Allows(bucketName string) bool {
	return in != nil && slices.Contains(in.buckets, bucketName)
}

// Head asks for an object. Errors are ErrForbiddenBucket, fs.ErrNotExist for an object that is not there,
// ErrInputChanged for one that came meanwhile, and what the server answered.
func (in *Inputs) Head(ctx context.Context, bucketName, key string) (Input, error) {
	if !in.Allows(bucketName) {
		return Input{}, ErrForbiddenBucket
	}
	out, err := in.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucketName, Key: &key})
	if status(err) == http.StatusNotFound {
		return Input{}, in.missing(ctx, bucketName, key)
	}
	if err != nil {
		return Input{}, inputError(bucketName, err)
	}
	return Input{Bucket: bucketName, Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag)}, nil
}

// missing asks again with GET. The 404 to a HEAD has no body, so it can't say that it is the bucket that is
// missing: a mistake of the operator, and not of the caller.
func (in *Inputs) missing(ctx context.Context, bucketName, key string) error {
	out, err := in.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucketName, Key: &key, Range: aws.String("bytes=0-0")})
	if err != nil {
		return inputError(bucketName, err)
	}
	_ = out.Body.Close()
	return ErrInputChanged // it came into being just now
}

// Open reads the very object that Head has told of; one that was replaced since is ErrInputChanged. Closing
// it ends a Read that is under way.
func (in *Inputs) Open(ctx context.Context, object Input) (io.ReadCloser, error) {
	if !in.Allows(object.Bucket) {
		return nil, ErrForbiddenBucket
	}
	ctx, cancel := context.WithCancel(ctx)
	out, err := in.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &object.Bucket, Key: &object.Key, IfMatch: optional(object.ETag)})
	if err != nil {
		cancel()
		if status(err) == http.StatusPreconditionFailed {
			return nil, ErrInputChanged
		}
		return nil, inputError(object.Bucket, err)
	}
	body := &inputBody{out.Body, cancel}
	if aws.ToInt64(out.ContentLength) != object.Size || aws.ToString(out.ETag) != object.ETag {
		_ = body.Close()
		return nil, ErrInputChanged // this server does not know If-Match
	}
	return body, nil
}

type inputBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *inputBody) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// inputError makes an error readable. Which object a caller wants is between him and the record.
func inputError(bucketName string, err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		request.URL = "s3://" + bucketName
	}
	var hinted error
	switch status(err) {
	case http.StatusForbidden:
		hinted = fmt.Errorf("%w; grant s3:GetObject and s3:ListBucket there, or check the credentials", err)
	default:
		hinted = readable(err)
	}
	return fmt.Errorf("read from bucket %s: %w", bucketName, hinted)
}
