package storage

import (
	"context"
	"fmt"
	"io"
	"maps"
	"mime"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// copying is one Put on its way.
type copying struct {
	*bucket
	key  string // whole key
	body *source
	o    PutOptions
	fail context.CancelCauseFunc // ends what is under way; a read that waits only if the body can be closed
}

// Put implements Store.
func (b *bucket) Put(ctx context.Context, key string, r io.Reader, o PutOptions) (Object, error) {
	object, err := b.put(ctx, key, r, o)
	if err != nil {
		return Object{}, b.failed("put", key, err)
	}
	return object, nil
}

func (b *bucket) put(ctx context.Context, key string, r io.Reader, o PutOptions) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	if err := checkKey(b.fullKey(key)); err != nil {
		return Object{}, err
	}
	o, err := o.normalized()
	if err != nil {
		return Object{}, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if body, ok := r.(io.Closer); ok {
		defer context.AfterFunc(ctx, func() { _ = body.Close() })()
	}
	c := &copying{bucket: b, key: b.fullKey(key), body: newSource(ctx, r, o.Size), o: o, fail: fail}
	cut := &cutter{body: c.body, sizes: b.sizes, memory: b.memory}
	first, err := cut.next(ctx)
	if err != nil {
		return Object{}, err
	}
	if first.last {
		err = c.whole(ctx, first)
	} else {
		err = c.inParts(ctx, first, cut)
	}
	if err != nil {
		return Object{}, err
	}
	return c.prove(ctx)
}

// whole sends a body that is one part.
func (c *copying) whole(ctx context.Context, p part) error {
	body, sending := lend(ctx, p.data)
	defer c.memory.give(p.data)
	defer body.takeBack()
	_, err := c.client.PutObject(sending, &s3.PutObjectInput{
		Bucket: &c.name, Key: &c.key,
		Body:                 body,
		ContentLength:        aws.Int64(int64(len(p.data))),
		ChecksumCRC64NVME:    aws.String(crcBase64(p.crc)),
		ContentType:          &c.o.ContentType,
		ContentDisposition:   c.disposition(),
		Metadata:             c.headers(),
		IfNoneMatch:          c.ifNoneMatch(),
		ServerSideEncryption: c.objects.encryption, SSEKMSKeyId: optional(c.objects.kmsKey), Tagging: optional(c.objects.tags),
	})
	return c.settle(ctx, readable(err))
}

// disposition lets a browser show the object, and save it under a name that says what it is.
func (c *copying) disposition() *string {
	if c.o.FileName == "" {
		return nil
	}
	return aws.String(mime.FormatMediaType("inline", map[string]string{"filename": c.o.FileName}))
}

// headers is the metadata as headers carry it.
func (c *copying) headers() map[string]string {
	headers := maps.Clone(c.o.Metadata)
	for name, value := range headers {
		headers[name] = encodeMetadata(value)
	}
	return headers
}

// ifNoneMatch makes the store refuse to overwrite, in one step with the write.
func (c *copying) ifNoneMatch() *string {
	if c.o.Replace {
		return nil
	}
	return aws.String("*")
}

// settle decides about a write that was not acknowledged. It may have been refused because
// an object stands there, and that object may be our own, made by an attempt whose answer
// was lost: so look, and compare.
func (c *copying) settle(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	object, headErr := c.headAny(ctx, c.key)
	if headErr != nil {
		return err // what went wrong first says more
	}
	switch {
	case c.o.Replace && c.is(object) && maps.Equal(object.Metadata, c.o.Metadata):
		return nil
	case c.o.Replace:
		return err // what was to be replaced still stands
	case c.is(object):
		return nil
	}
	return ErrExists
}

// prove asks the store afresh for the object that was just written.
func (c *copying) prove(ctx context.Context) (Object, error) {
	object, err := c.headAny(ctx, c.key)
	if err != nil {
		return Object{}, fmt.Errorf("written, then asked for: %w", err)
	}
	if !c.is(object) {
		return Object{}, unproved(fmt.Sprintf("it was given %d bytes %s and answers %d bytes %s",
			c.body.size, c.body.checksum(), object.Size, object.Checksum))
	}
	return object, nil
}

func (c *copying) is(object Object) bool {
	return object.Size == c.body.size && object.Checksum == c.body.checksum()
}

func unproved(why string) error {
	return fmt.Errorf("%w: %s; keep the original, and use a store that keeps CRC64NVME checksums (AWS S3, versitygw 1.8) or a file:// store", ErrUnproved, why)
}
