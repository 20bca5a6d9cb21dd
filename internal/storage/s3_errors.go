package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/aws/smithy-go"
)

// hints say what to do about answers that only a person can change.
var hints = map[string]string{
	"NoSuchBucket":          "make the bucket, or correct the storage URL",
	"AccessDenied":          "grant s3:PutObject, s3:GetObject, s3:AbortMultipartUpload and s3:ListBucket",
	"Forbidden":             "check the credentials, and grant s3:GetObject and s3:ListBucket",
	"InvalidAccessKeyId":    "correct AWS_ACCESS_KEY_ID, or AWS_ENDPOINT_URL_S3 if the key is of another store",
	"XAdminUserNotFound":    "correct AWS_ACCESS_KEY_ID", // versitygw's InvalidAccessKeyId
	"SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
	"ExpiredToken":          "renew the AWS credentials",
	"PermanentRedirect":     "set AWS_REGION to the region of the bucket",
	"MovedPermanently":      "set AWS_REGION to the region of the bucket",
	"NotImplemented":        "use a store that has conditional writes and CRC64NVME checksums",
}

// readable makes an error of the SDK one that may be shown and can be told apart: what is
// not there is fs.ErrNotExist, what a person must change says how, and no URL has a query,
// which holds upload ids, or the signature of a presigned URL.
func readable(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		request.URL = withoutQuery(request.URL)
	}
	var answer smithy.APIError
	switch {
	case !errors.As(err, &answer):
		return err
	case hints[answer.ErrorCode()] != "":
		return fmt.Errorf("%w; %s", err, hints[answer.ErrorCode()])
	case answer.ErrorCode() == "NoSuchKey":
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(a URL that cannot be read)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
