package storage_test

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// Every request that makes an object says how it is to be made. What becomes of the encryption only AWS can
// show; here it is asserted that it is asked for.
func TestS3ObjectsAreMadeAsTheURLSays(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"X-Amz-Server-Side-Encryption":                "aws:kms",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/media",
		"X-Amz-Tagging":                               "env=prod&team=a%26b",
	}
	for _, size := range []int{small, large} {
		made := 0
		sink := &storagetest.Sink{Before: func(_ http.ResponseWriter, r *http.Request) bool {
			makes := storagetest.Operation(r) == "PutObject" || storagetest.Operation(r) == "CreateMultipartUpload"
			for name, value := range want {
				if got := r.Header.Get(name); makes && got != value || !makes && got != "" {
					t.Errorf("%s: %s: got %q, want %q: %t", storagetest.Operation(r), name, got, value, makes)
				}
			}
			if makes && !isProbe(r) {
				made++
				if got := r.Header.Get("Content-Disposition"); got != `inline; filename="a b.mp4"` {
					t.Errorf("%s: Content-Disposition: got %q", storagetest.Operation(r), got)
				}
			}
			return false
		}}
		store := openSinkAt(t, sink, "s3://media/prefix?sse=kms&kms-key=alias/media&tag=env=prod&tag=team=a%26b", 0)
		_, err := store.Put(t.Context(), "j1/1.mp4", bytes.NewReader(storagetest.Body(size, 1)), storage.PutOptions{Size: int64(size), FileName: "a b.mp4"})
		if err != nil || made != 1 {
			t.Errorf("%d bytes: %d objects made, %v", size, made, err)
		}
		if _, err := store.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// The tags are there afterwards, and the name.
func TestS3TagsAreKept(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	client := plainClient(server)
	for _, size := range []int{small, large} {
		body := storagetest.Body(size, 1)
		_, err := openS3(t, server, "s3://media/prefix?tag=team=media").Put(t.Context(), "j1/1.mp4", bytes.NewReader(body), storage.PutOptions{Size: int64(size), FileName: "j1-1.mp4", Replace: true})
		if err != nil {
			t.Fatal(err)
		}
		tags, err := client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String("media"), Key: aws.String("prefix/j1/1.mp4")})
		if err != nil || len(tags.TagSet) != 1 || aws.ToString(tags.TagSet[0].Key) != "team" || aws.ToString(tags.TagSet[0].Value) != "media" {
			t.Errorf("%d bytes: tags: got %+v, %v", size, tags, err)
		}
		head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("media"), Key: aws.String("prefix/j1/1.mp4")})
		if err != nil || aws.ToString(head.ContentDisposition) != "inline; filename=j1-1.mp4" {
			t.Errorf("%d bytes: disposition: got %v, %v", size, aws.ToString(head.ContentDisposition), err)
		}
	}
}
