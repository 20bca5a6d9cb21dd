package storage

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// AWSOption changes what the AWS SDK makes of the environment, for example where
// credentials come from: config.WithCredentialsProvider and its like are AWSOptions.
type AWSOption = func(*config.LoadOptions) error

// bucket keeps objects in an S3 bucket, below a prefix.
type bucket struct {
	client  *s3.Client
	name    string
	prefix  string // without slashes at its ends; may be empty
	objects objectSettings
	sizes   partSizes // a field so that tests need no gigabytes
	memory  *memory
	seen    atomic.Int64 // when the bucket was there for sure, in ns
	belief  belief
}

// answerWithin is how long the store may stand still: from the last byte of a request to the first one of
// its answer, and in the middle of either. AWS itself begins to answer the slowest request, which puts
// parts together, well before.
const answerWithin = 2 * time.Minute

// forCopies suits many long uploads at once.
func forCopies(t *http.Transport) {
	t.ResponseHeaderTimeout = answerWithin
	// Parts that go at the same time need connections of their own: in HTTP/2 they would share one, and
	// its window.
	t.ForceAttemptHTTP2 = false
	t.TLSClientConfig.NextProtos = nil // the SDK's transport offers HTTP/2 by now
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.DialContext = straight(t.DialContext, answerWithin)
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 64
}

func openS3(ctx context.Context, where location, o Options) (*bucket, error) {
	wire := awshttp.NewBuildableClient().WithTransportOptions(forCopies)
	cfg, err := config.LoadDefaultConfig(ctx, append([]AWSOption{config.WithHTTPClient(wire)}, o.AWS...)...)
	if err != nil {
		return nil, fmt.Errorf("AWS settings: %w", err)
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // S3-compatible servers care little; AWS answers with the right one
	}
	cfg.HTTPClient = straightClient{cfg.HTTPClient}
	client := s3.NewFromConfig(cfg, func(so *s3.Options) {
		so.UsePathStyle = o.PathStyle
		so.DisableLogOutputChecksumValidationSkipped = true
		if strings.HasPrefix(aws.ToString(so.BaseEndpoint), "http://") {
			// Over TLS the SDK does this by itself. Else every byte would be hashed with
			// SHA-256, only to protect what the signed CRC in the header protects.
			so.APIOptions = append(so.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		}
	})
	bound := cmp.Or(o.CopyMemory, DefaultCopyMemory)
	if bound < LeastCopyMemory {
		return nil, fmt.Errorf("memory for copies: %d bytes, and at least %d MiB are needed", bound, LeastCopyMemory/mib)
	}
	return &bucket{
		client: client, name: where.bucket, prefix: where.prefix, objects: where.objects,
		sizes: s3PartSizes.within(bound), memory: newMemory(bound),
	}, nil
}

// Head implements Store.
func (b *bucket) Head(ctx context.Context, key string) (Object, error) {
	object, err := b.head(ctx, key)
	if err != nil {
		return Object{}, b.failed("head", key, err)
	}
	return object, nil
}

// head asks for an object. A checksum of the checksums of parts is no checksum of the bytes, so only
// one over the whole object counts.
func (b *bucket) head(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	return b.headAny(ctx, b.fullKey(key))
}

func (b *bucket) headAny(ctx context.Context, fullKey string) (Object, error) {
	object, _, err := b.headWith(ctx, fullKey)
	return object, err
}

// headWith also reports whether it was the store that answered for the checksum. If it does not, or
// answers whatever it was told, the object is read.
func (b *bucket) headWith(ctx context.Context, fullKey string) (object Object, answered bool, err error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &b.name, Key: &fullKey, ChecksumMode: types.ChecksumModeEnabled,
	})
	if status(err) == http.StatusNotFound {
		return Object{}, false, b.whatIsMissing(ctx, fullKey)
	}
	if err != nil {
		return Object{}, false, readable(err)
	}
	b.seen.Store(time.Now().UnixNano())
	object = b.object(fullKey, out)
	if out.ChecksumCRC64NVME != nil && out.ChecksumType == types.ChecksumTypeFullObject {
		proof, err := b.proof(ctx)
		if err != nil {
			return Object{}, false, err
		}
		if proof == Verified {
			object.Checksum, object.AsGiven = checksumScheme+*out.ChecksumCRC64NVME, true
			return object, true, nil
		}
	}
	object.Checksum, err = b.readBack(ctx, fullKey, out)
	return object, false, err
}

func (b *bucket) object(fullKey string, out *s3.HeadObjectOutput) Object {
	object := Object{
		Key:         fullKey,
		URL:         "s3://" + b.name + "/" + fullKey,
		Size:        aws.ToInt64(out.ContentLength),
		ContentType: aws.ToString(out.ContentType),
	}
	for name, value := range out.Metadata {
		if object.Metadata == nil {
			object.Metadata = make(map[string]string)
		}
		object.Metadata[strings.ToLower(name)] = decodeMetadata(value)
	}
	return object
}

// readBack computes the checksum of the very object that was asked for.
func (b *bucket) readBack(ctx context.Context, fullKey string, head *s3.HeadObjectOutput) (string, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &fullKey, IfMatch: head.ETag,
	}, func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
	if err != nil {
		return "", fmt.Errorf("read it back: %w", readable(err))
	}
	body := newSource(ctx, out.Body, aws.ToInt64(head.ContentLength))
	if err := errors.Join(drain(body), out.Body.Close()); err != nil {
		return "", fmt.Errorf("read it back: %w", err)
	}
	return body.checksum(), nil
}

// whatIsMissing asks again with GET. The 404 to a HEAD has no body, so it cannot say that it
// is the bucket that is missing, or at versitygw the account, and not the object: a copy that
// is safe would look lost. Where an object has just been seen the bucket is there, too.
func (b *bucket) whatIsMissing(ctx context.Context, fullKey string) error {
	if time.Since(time.Unix(0, b.seen.Load())) < seenFor {
		return fs.ErrNotExist
	}
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: &fullKey, Range: aws.String("bytes=0-0"),
	})
	if err != nil {
		err = readable(err)
		if errors.Is(err, fs.ErrNotExist) {
			b.seen.Store(time.Now().UnixNano())
		}
		return err
	}
	_ = out.Body.Close() // an object that came into being just now
	return fs.ErrNotExist
}

// seenFor is how long a bucket is believed to be there.
const seenFor = 5 * time.Second

// Open reads an object. The SDK compares the store's checksum at the end of the body.
func (b *bucket) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, b.failed("open", key, err)
	}
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.name, Key: aws.String(b.fullKey(key)), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return nil, b.failed("open", key, readable(err))
	}
	return out.Body, nil
}

// optional is how the SDK wants what may not be set.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (b *bucket) fullKey(key string) string { return path.Join(b.prefix, key) }

func (b *bucket) failed(verb, key string, err error) error {
	return fmt.Errorf("%s %s in s3://%s: %w%s", verb, key, path.Join(b.name, b.prefix), err, b.objects.rights(err))
}

// status is the HTTP status of an answer that says no; 0 if there was no answer.
func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
