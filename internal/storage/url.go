package storage

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// location is a parsed storage URL: a directory, or a bucket and a prefix.
type location struct {
	dir            string
	bucket, prefix string
	objects        objectSettings
}

// objectSettings is what every object of a bucket is made with.
type objectSettings struct {
	encryption types.ServerSideEncryption // the bucket's own if empty
	kmsKey     string                     // the bucket's own, or the account's, if empty
	tags       string                     // as a query
}

func parseURL(raw string) (location, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	var where location
	var err error
	switch scheme {
	case "s3":
		where, err = parseBucket(rest)
	case "file":
		where, err = parseDir(rest)
	default:
		err = fmt.Errorf("unknown scheme")
	}
	if err != nil {
		return location{}, fmt.Errorf("storage URL %q: %w; accepted are s3://bucket/prefix, file:///dir and file://./dir", withoutSecrets(raw), err)
	}
	return where, nil
}

func parseBucket(rest string) (location, error) {
	rest, query, _ := strings.Cut(rest, "?")
	bucket, prefix, _ := strings.Cut(rest, "/")
	prefix = strings.Trim(prefix, "/")
	switch {
	case strings.Contains(rest, "@"):
		return location{}, fmt.Errorf("keys and passwords do not belong here, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case strings.Contains(rest+query, "#"):
		return location{}, fmt.Errorf("a fragment means nothing here")
	case bucket == "" || strings.ContainsAny(bucket, ": %\\"):
		return location{}, fmt.Errorf("no bucket name")
	}
	if prefix != "" {
		if err := checkKey(prefix); err != nil {
			return location{}, err
		}
	}
	objects, err := parseObjectSettings(query)
	return location{bucket: bucket, prefix: prefix, objects: objects}, err
}

// parseObjectSettings reads sse=s3, sse=kms, kms-key=ID-or-ARN and any number of tag=name=value.
func parseObjectSettings(query string) (o objectSettings, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return o, fmt.Errorf("not a query")
	}
	tags := url.Values{}
	for name, all := range values {
		switch {
		case name == "tag":
			for _, tag := range all {
				key, value, _ := strings.Cut(tag, "=")
				if key == "" || tags.Has(key) || len(tags) == 10 {
					return o, fmt.Errorf("tag=name=value: at most 10, each with a name of its own")
				}
				tags.Set(key, value)
			}
		case len(all) > 1:
			return o, fmt.Errorf("%s stands there twice", name)
		case name == "sse" && all[0] == "s3":
			o.encryption = types.ServerSideEncryptionAes256
		case name == "sse" && all[0] == "kms":
			o.encryption = types.ServerSideEncryptionAwsKms
		case name == "kms-key" && all[0] != "":
			o.kmsKey = all[0]
		default:
			return o, fmt.Errorf("no setting is called %q with that value: want sse=s3 or sse=kms, kms-key=ID, tag=name=value; region and endpoint are AWS_REGION and AWS_ENDPOINT_URL_S3", name)
		}
	}
	if o.kmsKey != "" && o.encryption != types.ServerSideEncryptionAwsKms {
		return o, fmt.Errorf("kms-key goes with sse=kms only")
	}
	o.tags = tags.Encode()
	return o, nil
}

// parseDir takes absolute paths and paths that begin with a dot. "file://media" would be a
// host by the rules of URLs and a folder by the hopes of people: it is refused.
func parseDir(rest string) (location, error) {
	path, err := url.PathUnescape(rest)
	if err != nil || strings.ContainsRune(path, 0) {
		return location{}, fmt.Errorf("not a path")
	}
	if !strings.HasPrefix(path, "/") && path != "." && !strings.HasPrefix(path, "./") && !strings.HasPrefix(path, "../") {
		return location{}, fmt.Errorf("not an absolute path and not one that begins with ./")
	}
	if runtime.GOOS == "windows" && filepath.VolumeName(path[1:]) != "" {
		path = path[1:] // file:///C:/dir
	}
	dir, err := filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return location{}, err
	}
	if dir == filepath.VolumeName(dir)+string(filepath.Separator) {
		return location{}, fmt.Errorf("that is the whole disk, name a folder")
	}
	return location{dir: dir}, nil
}

// fileURL is the URL of a file in a local store.
func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// withoutSecrets drops what might be a password or a signature from a URL that was refused.
func withoutSecrets(raw string) string {
	raw, _, _ = strings.Cut(raw, "?")
	scheme, rest, ok := strings.Cut(raw, "://")
	if at := strings.LastIndex(rest, "@"); ok && at >= 0 {
		return scheme + "://..." + rest[at:]
	}
	return raw
}
