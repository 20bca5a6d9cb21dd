package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// abortLimit is how long a copy that failed may take to tidy up: longer than a request
// needs, shorter than a worker gets to drain.
const abortLimit = 10 * time.Second

// partsAtOnce is how many parts of one body are on their way while the next one is read. With parts of 8
// MiB that is 40 MiB for one body, and enough to fill a Gbit/s over a round trip of 250 ms.
const partsAtOnce = 4

// upload is one multipart upload.
type upload struct {
	*copying
	id *string

	mu   sync.Mutex
	done []types.CompletedPart
}

// inParts sends a body of more than one part. It becomes an object in one step, at Complete,
// or not at all.
func (c *copying) inParts(ctx context.Context, first part, rest *cutter) error {
	created, err := c.create(ctx)
	if err != nil {
		c.memory.give(first.data)
		return fmt.Errorf("begin upload: %w", readable(err))
	}
	u := &upload{copying: c, id: created.UploadId}
	completed := false
	defer func() {
		if !completed { // also when the reading panics
			u.abort(ctx)
		}
	}()
	if err := u.sendAll(ctx, first, rest); err != nil {
		return err
	}
	if err := u.complete(ctx); err != nil {
		return c.settle(ctx, err) // aborted also if that goes well: then other parts than ours became the object
	}
	completed = true
	return nil
}

// create begins an upload, and hears of it also when ctx ends meanwhile: nobody could abort one whose id
// is not known.
func (c *copying) create(ctx context.Context) (*s3.CreateMultipartUploadOutput, error) {
	ctx, cancel := outliving(ctx)
	defer cancel()
	return c.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &c.name, Key: &c.key,
		ChecksumAlgorithm:    types.ChecksumAlgorithmCrc64nvme,
		ChecksumType:         types.ChecksumTypeFullObject,
		ContentType:          &c.o.ContentType,
		ContentDisposition:   c.disposition(),
		Metadata:             c.headers(),
		ServerSideEncryption: c.objects.encryption, SSEKMSKeyId: optional(c.objects.kmsKey), Tagging: optional(c.objects.tags),
	})
}

// outliving ends abortLimit after ctx does.
func outliving(ctx context.Context) (context.Context, context.CancelFunc) {
	long, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(abortLimit, cancel) })
	return long, func() {
		stop()
		cancel()
	}
}

// sendAll reads parts and sends each as soon as it is read, some at the same time. The first error ends
// them all.
func (u *upload) sendAll(ctx context.Context, first part, rest *cutter) error {
	var sending sync.WaitGroup
	defer sending.Wait() // no part may arrive after the upload is aborted
	slots := make(chan struct{}, partsAtOnce)
	for next := first; ; {
		p := next
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			u.memory.give(p.data)
			return context.Cause(ctx)
		}
		sending.Go(func() {
			defer func() { <-slots }()
			defer u.memory.give(p.data)
			if err := u.send(ctx, p); err != nil {
				u.fail(err)
			}
		})
		if p.last {
			sending.Wait()
			return context.Cause(ctx)
		}
		var err error
		if next, err = rest.next(ctx); err != nil {
			u.fail(err)
			return context.Cause(ctx) // which may be the error of a part
		}
	}
}

// send sends one part with its checksum, which the store verifies. Nobody reads the part's buffer any more
// when it returns.
func (u *upload) send(ctx context.Context, p part) error {
	body, ctx := lend(ctx, p.data)
	defer body.takeBack()
	crc := crcBase64(p.crc)
	out, err := u.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.name, Key: &u.key, UploadId: u.id, PartNumber: &p.number,
		Body:              body,
		ContentLength:     aws.Int64(int64(len(p.data))),
		ChecksumCRC64NVME: &crc,
	})
	if err != nil {
		return fmt.Errorf("part %d: %w", p.number, readable(err))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = append(u.done, types.CompletedPart{PartNumber: &p.number, ETag: out.ETag, ChecksumCRC64NVME: &crc})
	return nil
}

// complete makes the object. The store verifies length and checksum of the whole before.
func (u *upload) complete(ctx context.Context) error {
	slices.SortFunc(u.done, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	_, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.name, Key: &u.key, UploadId: u.id,
		MultipartUpload:   &types.CompletedMultipartUpload{Parts: u.done},
		ChecksumCRC64NVME: aws.String(crcBase64(u.body.crc)),
		ChecksumType:      types.ChecksumTypeFullObject,
		MpuObjectSize:     &u.body.size,
		IfNoneMatch:       u.ifNoneMatch(),
	})
	if err != nil {
		return fmt.Errorf("complete upload: %w", readable(err))
	}
	return nil
}

// abort frees the parts, also when ctx has ended, which is the usual reason to come here. If
// it fails the bucket's lifecycle rule is what is left; the error that led here says more.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	_, _ = u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.name, Key: &u.key, UploadId: u.id,
	})
}
