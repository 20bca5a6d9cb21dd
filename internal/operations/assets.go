package operations

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// What is said of an asset that the API couldn't read. The asset itself is never
// repeated: the query of a URL may be a signature, and its path a token.
const (
	badAsset = "must be an http(s) URL whose path ends in a supported extension (.png, .mp4, .mp3, ...), " +
		"a library URL (https://magichour.ai/my-library?videoId=...), or the path of an uploaded file (api-assets/...)"
	s3Asset = "s3:// inputs are not supported yet; give an http(s) URL or the path of an uploaded file"
)

// uploadPrefixes begin the paths that the API gives to files it holds.
var uploadPrefixes = []string{"api-assets/", "image/", "video/", "audio/", "saved-items/"}

// extensions are those that the API takes, by the kind of file.
//
// Source: https://docs.magichour.ai/api-reference/files/generate-asset-upload-urls
var extensions = slices.Concat(
	strings.Fields("mp4 m4v mov webm"),
	strings.Fields("mp3 wav aac flac webm weba m4a opus ogg oga aiff amr"),
	strings.Fields("png jpg jpeg jfif heic heif webp avif jp2 tiff tif bmp"),
)

// assetProblems checks every reference to a media file in a request, but for the detected
// faces: those have a rule of their own.
func (o Operation) assetProblems(request map[string]any) []Problem {
	var problems []Problem
	for _, field := range o.Assets {
		if strings.HasSuffix(field, ".original_face") {
			continue
		}
		eachAsset("", request, strings.Split(field, "."), func(path, asset string) {
			// The API takes an animated picture as a video in this one place.
			gif := o.Name == "face-swap" && field == "assets.video_file_path"
			if message := assetMessage(asset, gif); message != "" {
				problems = append(problems, Problem{path, message})
			}
		})
	}
	return problems
}

// eachAsset visits the strings that a dotted field stands for. What is missing or of
// another type is left to the schema.
func eachAsset(path string, value any, rest []string, visit func(path, asset string)) {
	if len(rest) == 0 {
		if asset, ok := value.(string); ok {
			visit(path, asset)
		}
		return
	}
	name, isList := strings.CutSuffix(rest[0], "[]")
	fields, _ := value.(map[string]any)
	if !isList {
		eachAsset(below(path, name), fields[name], rest[1:], visit)
		return
	}
	elements, _ := fields[name].([]any)
	for i, element := range elements {
		eachAsset(at(below(path, name), i), element, rest[1:], visit)
	}
}

// assetMessage says what is wrong with an asset; nothing, if it is fine.
func assetMessage(asset string, gif bool) string {
	if asset == "" {
		return "must not be empty"
	}
	if isUploaded(asset) {
		return ""
	}
	if strings.HasPrefix(strings.ToLower(asset), "s3://") { // object keys need not parse as URLs
		return s3Asset
	}
	u, err := url.Parse(asset)
	if err != nil || !isLibraryURL(u) && !isMediaURL(u, gif) {
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

func isMediaURL(u *url.URL, gif bool) bool {
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return false
	}
	extension := strings.ToLower(strings.TrimPrefix(path.Ext(u.Path), "."))
	return slices.Contains(extensions, extension) || gif && extension == "gif"
}

// isLibraryURL knows the address of a project in the web app. The API reads it for the
// account that owns it.
func isLibraryURL(u *url.URL) bool {
	query := u.Query()
	return u.Scheme == "https" && u.Host == "magichour.ai" && u.Path == "/my-library" &&
		slices.ContainsFunc([]string{"videoId", "imageId", "audioId"}, query.Has)
}
