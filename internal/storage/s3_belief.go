package storage

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

var (
	probeBody = []byte("hourglass\n")
	probeCRC  = crcOf(probeBody)
)

// belief is what is known of a store's checksums, once it was tried.
type belief struct {
	mu    sync.Mutex
	proof Proof
	tried time.Time
}

// believedFor is how long a store counts as the one that was tried.
const believedFor = time.Hour

// growOld forgets what may be true no more: the store may have been exchanged since.
func (b *belief) growOld() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proof != Verified || time.Since(b.tried) > believedFor {
		b.proof = ""
	}
}

// proof tries what the store does with bytes that do not fit their checksum. Some take them, and
// echo the checksum to whoever asks: they would prove anything.
func (b *bucket) proof(ctx context.Context) (Proof, error) {
	b.belief.mu.Lock()
	defer b.belief.mu.Unlock()
	if b.belief.proof != "" {
		return b.belief.proof, nil
	}
	verifies, err := b.verifiesWhole(ctx)
	if verifies && err == nil {
		verifies, err = b.verifiesParts(ctx)
	}
	if err != nil {
		return "", err
	}
	b.belief.proof, b.belief.tried = ReadBack, time.Now()
	if verifies {
		b.belief.proof = Verified
	}
	return b.belief.proof, nil
}

// verifiesWhole reports whether the store refuses an object whose checksum is wrong. It must take the same
// with the right one: a 400 has many reasons.
func (b *bucket) verifiesWhole(ctx context.Context) (bool, error) {
	err := b.probe(ctx, probeKey+"-wrong", ^probeCRC)
	if status(err) == http.StatusPreconditionFailed {
		return false, nil // it took it another time
	}
	if refused, err := refusesChecksum(err); !refused || err != nil {
		return false, err
	}
	if err := b.probe(ctx, probeKey, probeCRC); err != nil && status(err) != http.StatusPreconditionFailed {
		return false, fmt.Errorf("write with the right checksum, after the wrong one was refused: %w", err)
	}
	return true, nil
}

// verifiesParts reports whether the store refuses a part, and an object of parts, whose checksum is wrong.
func (b *bucket) verifiesParts(ctx context.Context) (bool, error) {
	c := &copying{bucket: b, key: b.fullKey(probeKey + "-parts"), body: newSource(ctx, bytes.NewReader(probeBody), -1), o: PutOptions{ContentType: defaultContentType}}
	created, err := c.create(ctx)
	if err != nil {
		return false, fmt.Errorf("begin an upload of parts: %w", readable(err))
	}
	u := &upload{copying: c, id: created.UploadId}
	defer u.abort(ctx)
	probe := part{number: 1, data: probeBody, crc: ^probeCRC}
	if refused, err := refusesChecksum(u.send(ctx, probe)); !refused || err != nil {
		return false, err
	}
	probe.crc = probeCRC
	if err := u.send(ctx, probe); err != nil {
		return false, fmt.Errorf("write a part with the right checksum, after the wrong one was refused: %w", err)
	}
	c.body.size, c.body.crc = int64(len(probeBody)), ^probeCRC
	return refusesChecksum(u.complete(ctx))
}

// refusesChecksum reads the answer to what must not be taken. Also no answer is one to the question.
func refusesChecksum(err error) (bool, error) {
	switch {
	case err == nil:
		return false, nil
	case status(err) == http.StatusBadRequest:
		return true, nil
	}
	return false, fmt.Errorf("write with a wrong checksum: want 400, got %w", err)
}

// probe writes the probe, unless it is there. It always has the same bytes, so that any number of workers
// may write it at the same time.
func (b *bucket) probe(ctx context.Context, key string, crc uint64) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.name, Key: aws.String(b.fullKey(key)),
		Body:                 bytes.NewReader(probeBody),
		ContentLength:        aws.Int64(int64(len(probeBody))),
		ChecksumCRC64NVME:    aws.String(crcBase64(crc)),
		IfNoneMatch:          aws.String("*"),
		ServerSideEncryption: b.objects.encryption, SSEKMSKeyId: optional(b.objects.kmsKey), Tagging: optional(b.objects.tags), // a policy may demand them
	})
	return readable(err)
}
