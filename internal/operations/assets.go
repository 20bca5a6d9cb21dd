package operations

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// What is said of an asset that the API couldn't read. The asset itself is never
// repeated: the query of a URL may be a signature, and its path a token.
const (
	badAsset = "must be an http(s) URL whose path ends in a supported extension (.png, .mp4, .mp3, ...), " +
		"s3://bucket/key with such a key, a library URL (https://magichour.ai/my-library?videoId=...), " +
		"or the path of an uploaded file (api-assets/...)"
	badObject = "must be s3://bucket/key, where the bucket is its bare name, and the key at most 1024 bytes long, without . or .. between slashes, and ends in a supported extension (.png, .mp4, .mp3, ...)"
)

// uploadPrefixes begin the paths that the API gives to files it holds.
var uploadPrefixes = []string{"api-assets/", "image/", "video/", "audio/", "saved-items/"}

// extensions are those that the API takes, by the kind of file. In the one place where it takes an
// animated picture as a video, gif is one as well.
//
// Source: https://docs.magichour.ai/api-reference/files/generate-asset-upload-urls
var extensions = map[Kind][]string{
	Video: strings.Fields("mp4 m4v mov webm"),
	Audio: strings.Fields("mp3 wav aac flac webm weba m4a opus ogg oga aiff amr"),
	Image: strings.Fields("png jpg jpeg jfif heic heif webp avif jp2 tiff tif bmp"),
}

// kinds are in the order in which an extension is looked for where the field does not say what it
// wants: webm is that of videos first.
var kinds = []Kind{Video, Audio, Image}

const gif = "gif"

// takesGIF reports whether an animated picture may stand in a field for a video.
func (o Operation) takesGIF(field string) bool {
	return o.Name == "face-swap" && field == "assets.video_file_path"
}

// assetProblems checks every reference to a media file in a request, but for the detected
// faces: those have a rule of their own.
func (o Operation) assetProblems(request map[string]any) []Problem {
	var problems []Problem
	for _, field := range o.Assets {
		if isDetectedFace(field) {
			continue
		}
		eachAsset("", request, strings.Split(field, "."), func(path, asset string) string {
			if message := assetMessage(asset, o.takesGIF(field)); message != "" {
				problems = append(problems, Problem{path, message})
			}
			return asset
		})
	}
	return problems
}

func isDetectedFace(field string) bool { return strings.HasSuffix(field, ".original_face") }

// eachAsset visits the strings that a dotted field stands for, and puts what visit returns in their
// place. What is missing or of another type is left to the schema.
func eachAsset(path string, value any, rest []string, visit func(path, asset string) string) any {
	if len(rest) == 0 {
		if asset, ok := value.(string); ok {
			return visit(path, asset)
		}
		return value
	}
	name, isList := strings.CutSuffix(rest[0], "[]")
	fields, _ := value.(map[string]any)
	child, found := fields[name]
	switch elements, _ := child.([]any); {
	case !found:
	case isList:
		for i, element := range elements {
			elements[i] = eachAsset(at(below(path, name), i), element, rest[1:], visit)
		}
	default:
		fields[name] = eachAsset(below(path, name), child, rest[1:], visit)
	}
	return value
}

// assetMessage says what is wrong with an asset; nothing, if it is fine.
func assetMessage(asset string, takesGIF bool) string {
	if asset == "" {
		return "must not be empty"
	}
	if isUploaded(asset) {
		return ""
	}
	if isObject(asset) { // object keys need not parse as URLs
		if bucket, key := splitObject(asset); !bucketName.MatchString(bucket) || len(key) > longestKey || leadsElsewhere(key) || !supported(key, takesGIF) {
			return badObject
		}
		return ""
	}
	u, err := url.Parse(asset)
	if err != nil || !isLibraryURL(u) && !isMediaURL(u, takesGIF) {
		return badAsset
	}
	return ""
}

func isUploaded(asset string) bool {
	return slices.ContainsFunc(uploadPrefixes, func(prefix string) bool {
		rest, ok := strings.CutPrefix(asset, prefix)
		return ok && rest != ""
	})
}

const (
	objectScheme = "s3://"
	longestKey   = 1024 // bytes; S3's own limit
)

// bucketName lets the name of a bucket pass, and nothing that is more: errors repeat it, so no key and
// password may stand before it. Old buckets have capitals and underscores.
var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$`)

// leadsElsewhere reports whether somebody on the way could take a key for another one: gateways and proxies
// resolve dots.
func leadsElsewhere(key string) bool {
	return slices.ContainsFunc(strings.Split(key, "/"), func(s string) bool { return s == "." || s == ".." })
}

func isObject(asset string) bool {
	return len(asset) >= len(objectScheme) && strings.EqualFold(asset[:len(objectScheme)], objectScheme)
}

// splitObject takes an s3://bucket/key apart. The key is taken literally, as the aws command takes it: a
// question mark or a percent sign is part of it.
func splitObject(asset string) (bucket, key string) {
	bucket, key, _ = strings.Cut(asset[len(objectScheme):], "/")
	return bucket, key
}

func isMediaURL(u *url.URL, takesGIF bool) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && supported(u.Path, takesGIF)
}

// supported reports whether a path ends in an extension that the API takes.
func supported(name string, takesGIF bool) bool {
	ext := extension(name)
	return takesGIF && ext == gif || slices.ContainsFunc(kinds, func(k Kind) bool { return slices.Contains(extensions[k], ext) })
}

func extension(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
}

// isLibraryURL knows the address of a project in the web app. The API reads it for the
// account that owns it.
func isLibraryURL(u *url.URL) bool {
	query := u.Query()
	return u.Scheme == "https" && u.Host == "magichour.ai" && u.Path == "/my-library" &&
		slices.ContainsFunc([]string{"videoId", "imageId", "audioId"}, query.Has)
}
