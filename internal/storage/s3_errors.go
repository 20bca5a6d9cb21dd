package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
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
	"RequestTimeTooSkewed":  "set the clock of this machine",
}

// rights says what those that hints name do not cover, if it was one of these that is missing.
func (o objectSettings) rights(err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) || answer.ErrorCode() != "AccessDenied" && answer.ErrorCode() != "Forbidden" {
		return ""
	}
	text := ""
	if o.tags != "" {
		text += "; for the tags also s3:PutObjectTagging"
	}
	if o.encryption == types.ServerSideEncryptionAwsKms {
		text += "; for KMS also kms:GenerateDataKey and kms:Decrypt on the key"
	}
	return text
}

// readable makes an error of the SDK one that may be shown and can be told apart: what is
// not there is fs.ErrNotExist, what a person must change says how, and no URL has a query,
// which holds upload ids, or the signature of a presigned URL.
func readable(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		request.URL = withoutQuery(request.URL)
		if strings.Contains(request.Err.Error(), "Location header") { // net/http repeats it as it came
			request.Err = errors.New("a redirect that can't be read")
		}
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
