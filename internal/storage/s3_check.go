package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

// probeKey begins with a dot, so no key is in its way.
const probeKey = ".hourglass-check"

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
	if err := b.probe(ctx, probeKey, probeCRC); err != nil && status(err) != http.StatusPreconditionFailed {
		return "", err
	}
	if err := b.probe(ctx, probeKey, probeCRC); status(err) != http.StatusPreconditionFailed {
		return "", fmt.Errorf("write with If-None-Match over an object: want 412, got %w; use a store that has conditional writes (AWS S3, versitygw 1.8)", orAnswer(err))
	}
	b.belief.growOld()
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

var errSuccess = errors.New("success")

// orAnswer is for messages that say what came instead.
func orAnswer(err error) error {
	if err == nil {
		return errSuccess
	}
	return err
}
