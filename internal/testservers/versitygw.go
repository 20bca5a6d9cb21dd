package testservers

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// S3 is an S3 server that runs.
type S3 struct {
	Endpoint  string // "http://127.0.0.1:port"
	AccessKey string
	SecretKey string
	Region    string
	Dir       string // a bucket is a folder here, and an object a file in it
}

// VersityGW starts a versitygw, over plain http, with the given buckets. Of the S3 servers
// that can be had for a test it is the one that verifies checksums and honours If-None-Match.
func VersityGW(t testing.TB, buckets ...string) S3 {
	t.Helper()
	return versityGW(t, nil, buckets...)
}

// VersionedVersityGW starts one that can keep all versions of the objects in a bucket, if the bucket is
// told to.
func VersionedVersityGW(t testing.TB, buckets ...string) S3 {
	t.Helper()
	return versityGW(t, []string{"--versioning-dir", t.TempDir()}, buckets...)
}

func versityGW(t testing.TB, options []string, buckets ...string) S3 {
	t.Helper()
	path := Program(t, "versitygw")
	server := S3{AccessKey: "test-" + rand.Text(), SecretKey: rand.Text(), Region: "us-east-1", Dir: t.TempDir()}
	for _, bucket := range buckets {
		if err := os.Mkdir(filepath.Join(server.Dir, bucket), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	health := "/" + rand.Text() // only our own server knows it
	addr, _ := serve(t, path, func(port string) []string {
		args := []string{
			"--port", "127.0.0.1:" + port, "--access", server.AccessKey, "--secret", server.SecretKey,
			"--region", server.Region, "--health", health, "--quiet", "posix",
		}
		return append(slices.Concat(args, options, attributes(t, server.Dir)), server.Dir)
	}, func(ctx context.Context, addr string, _ int) error {
		return answers(ctx, "http://"+addr+health)
	})
	server.Endpoint = "http://" + addr
	return server
}

// attributes says where the server keeps metadata and checksums: beside the objects where
// the file system cannot keep them.
func attributes(t testing.TB, dir string) []string {
	t.Helper()
	if hasAttributes(dir) {
		return nil
	}
	return []string{"--sidecar", t.TempDir()}
}

func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

// Env is what a process needs in its environment to use this server.
func (s S3) Env() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID":     s.AccessKey,
		"AWS_SECRET_ACCESS_KEY": s.SecretKey,
		"AWS_REGION":            s.Region,
		"AWS_ENDPOINT_URL_S3":   s.Endpoint,
		"S3_PATH_STYLE":         "true",
	}
}

// Environ is Env in the form of exec.Cmd.Env: "AWS_REGION=us-east-1" and so on.
func (s S3) Environ() []string {
	var environ []string
	env := s.Env()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		environ = append(environ, name+"="+env[name])
	}
	return environ
}
