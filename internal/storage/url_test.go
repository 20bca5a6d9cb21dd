package storage

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		url  string
		want location
	}{
		{"s3://media", location{bucket: "media"}},
		{"s3://media/", location{bucket: "media"}},
		{"s3://media/a/b/", location{bucket: "media", prefix: "a/b"}},
		{"s3://my.bucket_1/ä", location{bucket: "my.bucket_1", prefix: "ä"}},
		{"s3://media/a?sse=s3", location{bucket: "media", prefix: "a", objects: objectSettings{encryption: "AES256"}}},
		{"s3://media?sse=kms&kms-key=alias/media", location{bucket: "media", objects: objectSettings{encryption: "aws:kms", kmsKey: "alias/media"}}},
		{"s3://media?tag=team=a%26b&tag=env=prod", location{bucket: "media", objects: objectSettings{tags: "env=prod&team=a%26b"}}},
		{"file:///srv/media", location{dir: "/srv/media"}},
		{"file:///srv/media%20files/", location{dir: "/srv/media files"}},
		{"file://./media", location{dir: filepath.Join(here, "media")}},
		{"file://../media", location{dir: filepath.Join(filepath.Dir(here), "media")}},
		{"file://.", location{dir: here}},
	}
	for _, test := range tests {
		got, err := parseURL(test.url)
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.url, got, err, test.want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ url, want string }{
		{"", `""`},
		{"media", "media"},
		{"/srv/media", "/srv/media"},
		{"gs://media", "gs://media"},
		{"s3:media", "s3:media"},
		{"s3://", "no bucket"},
		{"s3:///prefix", "no bucket"},
		{"s3://media:9000/prefix", "no bucket"},
		{"s3://media/../other", "dot"},
		{"s3://media/a//b", "empty segment"},
		{"s3://media?region=eu-west-1", "AWS_REGION"},
		{"s3://AKIA:hunter2@media/prefix", "AWS_SECRET_ACCESS_KEY"},
		{"s3://media/?X-Amz-Signature=hunter2", "no setting"},
		{"s3://media?sse=none", "sse=kms"},
		{"s3://media?kms-key=k", "sse=kms only"},
		{"s3://media?sse=s3&kms-key=k", "sse=kms only"},
		{"s3://media?sse=s3&sse=s3", "twice"},
		{"s3://media?tag==x", "name of its own"},
		{"s3://media?tag=a=1&tag=a=2", "name of its own"},
		{"s3://media?tag=a&tag=b&tag=c&tag=d&tag=e&tag=f&tag=g&tag=h&tag=i&tag=j&tag=k", "at most 10"},
		{"s3://media/%zz?sse=s3#x", "fragment"},
		{"s3://media?sse=%zz", "not a query"},
		{"file://", "file://./dir"},
		{"file:///", "whole disk"},
		{"file:///..", "whole disk"},
		{"file://media", "file://./dir"},
		{"file://localhost/srv", "file://./dir"},
		{"file:///srv/%zz", "not a path"},
		{"file:///srv/%00", "not a path"},
	}
	for _, test := range tests {
		_, err := parseURL(test.url)
		if err == nil {
			t.Errorf("%s: got success", test.url)
			continue
		}
		for _, want := range []string{test.want, "s3://bucket/prefix, file:///dir and file://./dir"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want %q in it", test.url, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in %q", test.url, err)
		}
	}
}
