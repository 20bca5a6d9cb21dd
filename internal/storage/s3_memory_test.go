package storage_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
)

// TestS3InMemory runs the suite against the server that other tests inject faults into: what it says
// must be what a real one says. Its Check refuses a server that takes wrong checksums.
func TestS3InMemory(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3(t, "media")
	var tests atomic.Int64
	t.Run("suite", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store {
			store, err := storage.Open(t.Context(), fmt.Sprintf("s3://media/test-%d/deep", tests.Add(1)), server.Options())
			if err != nil {
				t.Fatal(err)
			}
			return store
		})
	})
	if left := server.Uploads(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestS3InMemoryBelievesNothing: bytes, parts and wholes that are not what the request says.
func TestS3InMemoryBelievesNothing(t *testing.T) {
	t.Parallel()
	server := storagetest.NewS3(t, "media")
	client := s3.New(s3.Options{
		BaseEndpoint: &server.Endpoint, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, "any", ""),
	})
	body := storagetest.Body(1000, 1)
	right := aws.String(strings.TrimPrefix(storagetest.Checksum(body), "crc64nvme:"))
	wrong := aws.String(strings.TrimPrefix(storagetest.Checksum(body[1:]), "crc64nvme:"))
	media, key := aws.String("media"), aws.String("1.mp4")
	refused := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: got success", what)
		}
	}
	ctx := t.Context()
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: media, Key: key, Body: bytes.NewReader(body), ChecksumCRC64NVME: wrong})
	refused("put with a wrong checksum", err)
	begun, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: media, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	part := func(crc *string) (*s3.UploadPartOutput, error) {
		return client.UploadPart(ctx, &s3.UploadPartInput{Bucket: media, Key: key, UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(body), ChecksumCRC64NVME: crc})
	}
	_, err = part(wrong)
	refused("part with a wrong checksum", err)
	sent, err := part(right)
	if err != nil {
		t.Fatal(err)
	}
	complete := func(etag, crc *string, size int64) error {
		_, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: media, Key: key, UploadId: begun.UploadId, ChecksumCRC64NVME: crc, ChecksumType: types.ChecksumTypeFullObject, MpuObjectSize: &size,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: etag}}},
		})
		return err
	}
	refused("complete with a wrong checksum", complete(sent.ETag, wrong, 1000))
	refused("complete with a wrong length", complete(sent.ETag, right, 999))
	refused("complete with another part", complete(aws.String(`"other"`), right, 1000))
	if _, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: media, Key: key}); err == nil {
		t.Error("what was refused is visible")
	}
	if left := server.Uploads(); len(left) != 1 {
		t.Errorf("got the uploads %v, want the one that is refused", left)
	}
	if err := complete(sent.ETag, right, 1000); err != nil {
		t.Error(err)
	}
}
