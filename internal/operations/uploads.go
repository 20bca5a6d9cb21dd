package operations

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// An Asset is a place in a request that refers to a media file. Detected faces are none: their paths
// come from the API itself.
type Asset struct {
	// Path is that of the field, with list indices: "assets.face_mappings[0].new_face".
	Path string
	// Ref is what stands there. It may hold a secret: see [Problem].
	Ref string
	// Type and Extension are what the API is told of the file if it is uploaded. The type is empty if
	// it takes no such extension there.
	Type      Kind
	Extension string
}

// Object returns bucket and key of an asset that is s3://bucket/key, and whether it is.
func (a Asset) Object() (bucket, key string, ok bool) {
	if !isObject(a.Ref) {
		return "", "", false
	}
	bucket, key = splitObject(a.Ref)
	return bucket, key, true
}

// Local reports whether an asset is none that [Operation.Validate] could accept but perhaps the name of
// a file: it is neither the path of an uploaded file nor a URL of any scheme, not even a mistyped one, whose
// query may be a signature. A single letter before a colon is a drive.
func (a Asset) Local() bool {
	return a.Ref != "" && !isUploaded(a.Ref) && !likeURL.MatchString(a.Ref)
}

var likeURL = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:|://`)

// AssetsOf lists the assets of a request. A body that is no JSON object has none: [Operation.Validate]
// says what is wrong with it.
func (o Operation) AssetsOf(body []byte) []Asset {
	var assets []Asset
	request, problem := decode(body)
	if problem == nil {
		o.visitAssets(request, func(a Asset) string {
			assets = append(assets, a)
			return a.Ref
		})
	}
	return assets
}

// WithAssets returns the request with other assets in the place of its own: those that ref returns.
func (o Operation) WithAssets(body []byte, ref func(Asset) string) (json.RawMessage, error) {
	request, problem := decode(body)
	if problem != nil {
		return nil, o.invalid(*problem)
	}
	o.visitAssets(request, ref)
	return json.Marshal(request)
}

func (o Operation) visitAssets(request map[string]any, visit func(Asset) string) {
	for _, field := range o.Assets {
		if isDetectedFace(field) {
			continue
		}
		eachAsset("", request, strings.Split(field, "."), func(path, ref string) string {
			ext := extension(ref)
			return visit(Asset{Path: path, Ref: ref, Type: o.uploadType(field, ext), Extension: ext})
		})
	}
}

// uploadType is the type under which a file is uploaded: the one that the field's name asks for, if the
// extension is one of its own (webm is both video and audio), else the extension's. For a GIF, which is of
// no type by the documentation, it is the field's: what is asked for there is a video.
func (o Operation) uploadType(field, ext string) Kind {
	name := field[strings.LastIndex(field, ".")+1:]
	for _, kind := range kinds {
		if strings.HasPrefix(name, string(kind)) && (slices.Contains(extensions[kind], ext) || ext == gif && o.takesGIF(field)) {
			return kind
		}
	}
	for _, kind := range kinds {
		if slices.Contains(extensions[kind], ext) {
			return kind
		}
	}
	return ""
}
