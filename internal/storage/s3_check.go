package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// probeKey begins with a dot, so no key is in its way.
const probeKey = ".hourglass-check"

var (
	probeBody = []byte("hourglass\n")
	probeCRC  = crcOf(probeBody)
)

// Check writes a small object and asks for it, makes sure that the store refuses to overwrite, and
// finds out whether its checksums can be believed.
func (b *bucket) Check(ctx context.Context) (Proof, error) {
	proof, err := b.check(ctx)
	if err != nil {
		return "", b.failed("check", probeKey, err)
	}
	return proof, nil
}

func (b *bucket) check(ctx context.Context) (Proof, error) {
	if provider := b.client.Options().Credentials; provider != nil { // nil: anonymous, on purpose
		if _, err := provider.Retrieve(ctx); err != nil {
			return "", fmt.Errorf("no AWS credentials: %w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role", err)
		}
	}
	if _, err := b.headAny(ctx, b.fullKey(probeKey+"-none")); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("ask for what is not there: want 404, got %w", orAnswer(err))
	}
	if err := b.probe(ctx, probeCRC, aws.String("*")); err != nil && status(err) != http.StatusPreconditionFailed {
		return "", err
	}
	if err := b.probe(ctx, probeCRC, aws.String("*")); status(err) != http.StatusPreconditionFailed {
		return "", fmt.Errorf("write with If-None-Match over an object: want 412, got %w; use a store that has conditional writes (AWS S3, versitygw 1.8)", orAnswer(err))
	}
	b.belief.mu.Lock()
	b.belief.proof = "" // the store may have been exchanged since
	b.belief.mu.Unlock()
	proof, err := b.proof(ctx)
	if err != nil {
		return "", err
	}
	object, answered, err := b.headWith(ctx, b.fullKey(probeKey))
	if err != nil {
		return "", err
	}
	if object.Checksum != checksumScheme+crcBase64(probeCRC) {
		return "", unproved(fmt.Sprintf("it was given %q and has bytes of checksum %s", probeBody, object.Checksum))
	}
	if !answered {
		proof = ReadBack
	}
	return proof, nil
}

// belief is what is known of a store's checksums, once it was tried.
type belief struct {
	mu    sync.Mutex
	proof Proof
}

// proof tries what the store does with bytes that do not fit their checksum. Some take them, and
// echo the checksum to whoever asks: they would prove anything.
func (b *bucket) proof(ctx context.Context) (Proof, error) {
	b.belief.mu.Lock()
	defer b.belief.mu.Unlock()
	if b.belief.proof != "" {
		return b.belief.proof, nil
	}
	err := b.probe(ctx, ^probeCRC, nil)
	switch {
	case err == nil:
		b.belief.proof = ReadBack
	case status(err) == http.StatusBadRequest:
		b.belief.proof = Verified
	default:
		return "", fmt.Errorf("write with a wrong checksum: want 400, got %w", err)
	}
	return b.belief.proof, nil
}

// probe writes the probe. It always has the same bytes, so that any number of workers may
// write it at the same time.
func (b *bucket) probe(ctx context.Context, crc uint64, ifNoneMatch *string) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: aws.String(b.fullKey(probeKey)),
		Body:                 bytes.NewReader(probeBody),
		ContentLength:        aws.Int64(int64(len(probeBody))),
		ChecksumCRC64NVME:    aws.String(crcBase64(crc)),
		IfNoneMatch:          ifNoneMatch,
		ServerSideEncryption: b.objects.encryption, SSEKMSKeyId: optional(b.objects.kmsKey), Tagging: optional(b.objects.tags), // a policy may demand them
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
