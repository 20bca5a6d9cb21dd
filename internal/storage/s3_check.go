package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// probeKey begins with a dot, so no key is in its way.
const probeKey = ".hourglass-check"

var probeBody = []byte("hourglass\n")

// Check writes a small object and asks for it, and makes sure that the store refuses what it
// must refuse: to overwrite, and to take bytes that do not fit their checksum. Some stores
// echo the checksum of the client without computing it, and would prove anything.
func (b *bucket) Check(ctx context.Context) error {
	if err := b.check(ctx); err != nil {
		return b.failed("check", probeKey, err)
	}
	return nil
}

func (b *bucket) check(ctx context.Context) error {
	if provider := b.client.Options().Credentials; provider != nil { // nil: anonymous, on purpose
		if _, err := provider.Retrieve(ctx); err != nil {
			return fmt.Errorf("no AWS credentials: %w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role", err)
		}
	}
	if _, err := b.headAny(ctx, b.fullKey(probeKey+"-none")); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ask for what is not there: want 404, got %w", orAnswer(err))
	}
	crc := crcOf(probeBody)
	if err := b.probe(ctx, crc, aws.String("*")); err != nil && status(err) != http.StatusPreconditionFailed {
		return err
	}
	if err := b.probe(ctx, crc, aws.String("*")); status(err) != http.StatusPreconditionFailed {
		return fmt.Errorf("write with If-None-Match over an object: want 412, got %w; use a store that has conditional writes (AWS S3, versitygw 1.8)", orAnswer(err))
	}
	if err := b.probe(ctx, ^crc, nil); err == nil {
		return unproved("it takes bytes with a wrong checksum")
	} else if status(err)/100 != 4 {
		return fmt.Errorf("write with a wrong checksum: want 400, got %w", err)
	}
	object, err := b.headAny(ctx, b.fullKey(probeKey))
	if err != nil {
		return err
	}
	if object.Checksum != checksumScheme+crcBase64(crc) {
		return unproved(fmt.Sprintf("it was given checksum %s and answers %q", crcBase64(crc), object.Checksum))
	}
	return nil
}

// probe writes the probe. It always has the same bytes, so that any number of workers may
// write it at the same time.
func (b *bucket) probe(ctx context.Context, crc uint64, ifNoneMatch *string) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: aws.String(b.fullKey(probeKey)),
		Body:              bytes.NewReader(probeBody),
		ContentLength:     aws.Int64(int64(len(probeBody))),
		ChecksumCRC64NVME: aws.String(crcBase64(crc)),
		IfNoneMatch:       ifNoneMatch,
	})
	return readable(err)
}

var errSuccess = errors.New("success")

// orAnswer is for messages that say what came instead.
func orAnswer(err error) error {
	if err == nil {
		return errSuccess
	}
	return err
}
