package storage_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-290c2414/hourglass/internal/testservers"
)

// In a bucket that others use as well, only what has the form of our keys is ours.
func TestS3TidiesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	client := plainClient(server)
	theirs := []string{"j1/1.mp4", "prefix-2/j1/1.mp4", "prefix/backup.tar", "prefix/j1/film.mp4", "prefix/a/b/1.mp4", "prefix/j1/1",
		"prefix/my films/1.mp4", "prefix/-j1/1.mp4", "prefix/j1/0.mp4", "prefix/j1/01.mp4", "prefix/j1/1.extension"}
	for _, key := range append(theirs, "prefix/j1/1.mp4", "prefix/j2/12.bin") {
		if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("media"), Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := openS3(t, server, "s3://media/prefix").Tidy(t.Context(), "", 0); n != 2 || err != nil {
		t.Errorf("got %d, %v; want 2", n, err)
	}
	out, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("media")})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, upload := range out.Uploads {
		left = append(left, aws.ToString(upload.Key))
	}
	slices.Sort(theirs)
	slices.Sort(left)
	if !slices.Equal(left, theirs) {
		t.Errorf("left: %v, want %v", left, theirs)
	}
	if n, err := openS3(t, server, "s3://media").Tidy(t.Context(), "", 0); n != 1 || err != nil {
		t.Errorf("at the root of the bucket: got %d, %v; want 1", n, err)
	}
}

// Old uploads may fill more than one page, and one that can't be aborted keeps no other.
func TestS3TidiesPageByPage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	uploads := []struct {
		key string
		age time.Duration
	}{
		{"p/j1/1.mp4", 49 * time.Hour}, {"p/j1/2.mp4", 47 * time.Hour}, {"p/j2/1.mp4", 100 * time.Hour},
		{"p/stuck/1.mp4", 50 * time.Hour}, {"p/gone/1.mp4", 50 * time.Hour}, {"p/zz/1.mp4", 50 * time.Hour},
	}
	var aborted []string
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := strings.TrimPrefix(r.URL.Path, "/media/")
		if r.Method == http.MethodDelete {
			aborted = append(aborted, key+" "+r.URL.Query().Get("uploadId"))
			switch {
			case strings.Contains(key, "stuck"):
				w.WriteHeader(http.StatusForbidden)
			case strings.Contains(key, "gone"):
				w.WriteHeader(http.StatusNotFound)
			default:
				w.WriteHeader(http.StatusNoContent)
			}
			return
		}
		if got := r.URL.Query().Get("prefix"); got != "p/" {
			t.Errorf("prefix: got %q", got)
		}
		from := 0 // two on a page, each marked by its last
		for i, u := range uploads {
			if r.URL.Query().Get("key-marker") == u.key && r.URL.Query().Get("upload-id-marker") == fmt.Sprint("id", i) {
				from = i + 1
			}
		}
		_, _ = fmt.Fprintf(w, `<ListMultipartUploadsResult><IsTruncated>%t</IsTruncated><NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>id%d</NextUploadIdMarker>`,
			from+2 < len(uploads), uploads[from+1].key, from+1)
		for i := from; i < from+2; i++ {
			_, _ = fmt.Fprintf(w, `<Upload><Key>%s</Key><UploadId>id%d</UploadId><Initiated>%s</Initiated></Upload>`,
				uploads[i].key, i, now.Add(-uploads[i].age).UTC().Format(time.RFC3339))
		}
		_, _ = fmt.Fprint(w, `</ListMultipartUploadsResult>`)
	}))
	defer front.Close()
	store := openS3(t, testservers.S3{Endpoint: front.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "b"}, "s3://media/p", impatient())
	n, err := store.Tidy(t.Context(), "", 48*time.Hour)
	if n != 4 || err == nil || !strings.Contains(err.Error(), "p/stuck/1.mp4") || strings.Contains(err.Error(), "id3") {
		t.Errorf("got %d, %v; want 4, and which one it could not", n, err)
	}
	want := []string{"p/j1/1.mp4 id0", "p/j2/1.mp4 id2", "p/stuck/1.mp4 id3", "p/gone/1.mp4 id4", "p/zz/1.mp4 id5"}
	if !slices.Equal(aborted, want) {
		t.Errorf("aborted %v, want %v", aborted, want)
	}
}

func TestS3TidyWithoutTheRight(t *testing.T) {
	t.Parallel()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
	}))
	defer front.Close()
	_, err := openS3(t, testservers.S3{Endpoint: front.URL, Region: "us-east-1", AccessKey: "a", SecretKey: "b"}, "s3://media/p").Tidy(t.Context(), "", 0)
	if err == nil || !strings.Contains(err.Error(), "grant s3:ListBucketMultipartUploads") {
		t.Errorf("got %v, want the right that is missing", err)
	}
}
