package storage_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestS3Check(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	conditional := func(r *http.Request) bool { return r.Header.Get("If-None-Match") != "" }
	tests := []struct {
		name   string
		choose func(*http.Request) fault
		want   string // "": success
	}{
		{"a good store", func(*http.Request) fault { return fault{} }, ""},
		{"echoes any checksum", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" && !conditional(r) {
				return sayYes
			}
			return fault{}
		}, "wrong checksum"},
		{"answers no checksum", func(r *http.Request) fault {
			if storagetest.Operation(r) == "HeadObject" {
				return noChecksum
			}
			return fault{}
		}, "does not prove"},
		{"overwrites", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" && conditional(r) {
				return sayYes
			}
			return fault{}
		}, "If-None-Match"},
		{"does not let us list", func(r *http.Request) fault {
			if storagetest.Operation(r) == "HeadObject" {
				return forbidden
			}
			return fault{}
		}, "s3:ListBucket"},
		{"does not let us write", func(r *http.Request) fault {
			if storagetest.Operation(r) == "PutObject" {
				return forbidden
			}
			return fault{}
		}, "403"},
		{"is ill", func(*http.Request) fault { return failure }, "500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := "s3://media/" + strings.ReplaceAll(test.name, " ", "-")
			err := openS3(t, faulty(t, server, test.choose), url, impatient()).Check(t.Context())
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want success", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestS3CheckWithoutCredentials(t *testing.T) {
	t.Parallel()
	none := config.WithCredentialsProvider(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("none found")
	}))
	err := openS3(t, testservers.S3{Endpoint: "http://127.0.0.1:1", Region: "us-east-1"}, "s3://media", none).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "set AWS_ACCESS_KEY_ID") {
		t.Errorf("got %v, want what to set", err)
	}
}
