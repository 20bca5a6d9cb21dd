package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	s3manager "github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// inParts of 8 MiB, four at a time, as ours: with the SDK's own 5 MiB both are slower.
const (
	partSize    = 8 << 20
	partsAtOnce = 4
)

// manager copies with the upload manager that most programs use.
func manager(ctx context.Context, w work) error {
	client, err := plainClient(ctx, w)
	if err != nil {
		return err
	}
	//nolint:staticcheck // deprecated, and what many use
	uploader := s3manager.NewUploader(client, func(u *s3manager.Uploader) { u.PartSize, u.Concurrency = partSize, partsAtOnce })
	return w.each(ctx, func(ctx context.Context, n int) error {
		return fetched(ctx, w.url(n), func(body io.Reader) error {
			//nolint:staticcheck // the same
			_, err := uploader.Upload(ctx, &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String(w.prefix + "/" + w.key(n)), Body: body})
			return err
		})
	})
}

// transferManager copies with its successor.
func transferManager(ctx context.Context, w work) error {
	client, err := plainClient(ctx, w)
	if err != nil {
		return err
	}
	uploader := transfermanager.New(client, func(o *transfermanager.Options) { o.PartSizeBytes, o.Concurrency = partSize, partsAtOnce })
	return w.each(ctx, func(ctx context.Context, n int) error {
		return fetched(ctx, w.url(n), func(body io.Reader) error {
			_, err := uploader.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: aws.String("media"), Key: aws.String(w.prefix + "/" + w.key(n)), Body: body})
			return err
		})
	})
}

func plainClient(ctx context.Context, w work) (*s3.Client, error) {
	wire := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 64 }) // as ours
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(wire))
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = true
		o.BaseEndpoint = &w.endpoint
	}), nil
}

// client keeps as many connections as there are copies.
var client = &http.Client{Transport: func() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	return t
}()}

// fetched hands the body of a URL on.
func fetched(ctx context.Context, url string, use func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil) //nolint:gosec // our own source
	if err != nil {
		return err
	}
	resp, err := client.Do(req) //nolint:gosec // our own source
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	} else {
		err = use(resp.Body)
	}
	return errors.Join(err, resp.Body.Close())
}
