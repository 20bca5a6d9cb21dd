package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
	"github.com/seed-290c2414/hourglass/internal/testservers"
)

func TestLocal(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store {
		store, _ := openLocal(t)
		return store
	})
}

func TestS3(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	var tests atomic.Int64
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return openS3(t, server, fmt.Sprintf("s3://media/test-%d/deep", tests.Add(1)))
	})
}

// TestS3Versioned is the suite in a bucket that keeps every version and lets none be removed for a day, as
// buckets do that must not lose anything.
func TestS3Versioned(t *testing.T) {
	t.Parallel()
	server := testservers.VersionedVersityGW(t)
	client, locked := plainClient(server), aws.String("locked")
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: locked, ObjectLockEnabledForBucket: aws.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{Bucket: locked, ObjectLockConfiguration: &types.ObjectLockConfiguration{
		ObjectLockEnabled: types.ObjectLockEnabledEnabled,
		Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Days: aws.Int32(1), Mode: types.ObjectLockRetentionModeGovernance}},
	}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the suite: did it keep versions at all?
		out, err := client.ListObjectVersions(context.WithoutCancel(t.Context()), &s3.ListObjectVersionsInput{Bucket: locked})
		if err != nil || !slices.ContainsFunc(out.Versions, func(v types.ObjectVersion) bool { return !aws.ToBool(v.IsLatest) }) {
			t.Errorf("no object has an earlier version (%v)", err)
		}
	})
	var tests atomic.Int64
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return openS3(t, server, fmt.Sprintf("s3://locked/test-%d", tests.Add(1)))
	})
}

func TestS3AtTheRootOfABucket(t *testing.T) {
	t.Parallel()
	server := testservers.VersityGW(t, "media")
	store := openS3(t, server, "s3://media")
	object, err := store.Put(t.Context(), "j1/1.mp4", strings.NewReader("x"), storage.PutOptions{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	if object.Key != "j1/1.mp4" || object.URL != "s3://media/j1/1.mp4" {
		t.Errorf("got %s, %s", object.Key, object.URL)
	}
	if _, err := os.Stat(filepath.Join(server.Dir, "media", "j1", "1.mp4")); err != nil {
		t.Error(err)
	}
}

func openLocal(t *testing.T) (storage.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "media files")
	store, err := storage.Open(t.Context(), "file://"+filepath.ToSlash(dir), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store, dir
}

// openS3 says in options what a worker reads from the environment, so that tests can be
// parallel.
func openS3(t *testing.T, server testservers.S3, url string, more ...storage.AWSOption) storage.Store {
	t.Helper()
	return openS3With(t, server, url, 0, more...)
}

// openS3With is openS3 with a bound for the memory of copies.
func openS3With(t *testing.T, server testservers.S3, url string, memory int64, more ...storage.AWSOption) storage.Store {
	t.Helper()
	store, err := storage.Open(t.Context(), url, options(server, memory, more...))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// options reach a server; memory is the bound for copies, 0 the default one.
func options(server testservers.S3, memory int64, more ...storage.AWSOption) storage.Options {
	return storage.Options{PathStyle: true, CopyMemory: memory, AWS: append([]storage.AWSOption{
		config.WithBaseEndpoint(server.Endpoint),
		config.WithRegion(server.Region),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, "")),
	}, more...)}
}
