package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Tidy implements Store.
func (b *bucket) Tidy(ctx context.Context, folder string, age time.Duration) (removed int, err error) {
	if folder != "" {
		err = checkKey(folder)
	}
	if err == nil {
		removed, err = b.tidy(ctx, folder, age)
	}
	if err != nil {
		return removed, b.failed("tidy", folder, err)
	}
	return removed, nil
}

// below is what the whole keys in a folder begin with; "" if that is any key of the bucket.
func (b *bucket) below(folder string) string {
	if full := b.fullKey(folder); full != "" {
		return full + "/"
	}
	return ""
}

// tidy aborts page by page.
func (b *bucket) tidy(ctx context.Context, folder string, age time.Duration) (removed int, err error) {
	var errs []error
	prefix := b.below(folder)
	page := &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &prefix}
	for {
		out, err := b.client.ListMultipartUploads(ctx, page)
		if status(err) == http.StatusForbidden {
			err = fmt.Errorf("list uploads: %w; grant s3:ListBucketMultipartUploads on the bucket, or leave it to a lifecycle rule", err)
		}
		if err != nil {
			return removed, errors.Join(append(errs, readable(err))...)
		}
		for _, upload := range out.Uploads {
			if !b.isOurs(folder, aws.ToString(upload.Key)) || !olderThan(aws.ToTime(upload.Initiated), age) {
				continue
			}
			if err := b.abortListed(ctx, upload); err != nil {
				errs = append(errs, err)
			} else {
				removed++
			}
		}
		if !aws.ToBool(out.IsTruncated) || aws.ToString(out.NextKeyMarker) == "" {
			return removed, errors.Join(errs...)
		}
		page.KeyMarker, page.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
	}
}

func (b *bucket) abortListed(ctx context.Context, upload types.MultipartUpload) error {
	_, err := b.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: upload.Key, UploadId: upload.UploadId})
	if err == nil || status(err) == http.StatusNotFound { // ended meanwhile
		return nil
	}
	return fmt.Errorf("abort upload of %s: %w", aws.ToString(upload.Key), readable(err))
}

// The form of the names that copies in parts have, and of the keys where the folder is not known: the id of a job, the
// number of an output, an extension. A bucket may be shared with programs whose uploads take longer than ours, so of
// jobs with a key prefix nothing is taken but in their own folder.
var (
	ourName = regexp.MustCompile(`^[1-9][0-9]*\.[A-Za-z0-9]{1,8}$`)
	ourKey  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}/[1-9][0-9]*\.[A-Za-z0-9]{1,8}$`)
)

func (b *bucket) isOurs(folder, fullKey string) bool {
	key, ok := strings.CutPrefix(fullKey, b.below(folder))
	switch {
	case !ok:
		return false
	case folder != "":
		return ourName.MatchString(key)
	}
	return key == probeKey+"-parts" || checkKey(key) == nil && ourKey.MatchString(key)
}
