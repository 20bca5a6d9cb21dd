package pipeline

import (
	"mime"
	"path"
	"regexp"
	"strings"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/tasks"
)

// pin numbers the outputs of a render, once and for all. A download without a path could not
// be told from another and counts as not there yet.
func pin(downloads []magichour.Download) []tasks.Source {
	var sources []tasks.Source
	for _, d := range downloads {
		if path := d.Path(); path != "" {
			sources = append(sources, tasks.Source{N: len(sources) + 1, Path: path})
		}
	}
	return sources
}

// match finds the download of every source by its path, since the API promises no order. It
// reports false unless the two sets are equal, not empty, and without a path that stands twice.
func match(sources []tasks.Source, downloads []magichour.Download) (map[int]magichour.Download, bool) {
	if len(sources) == 0 || len(sources) != len(downloads) {
		return nil, false
	}
	byPath := make(map[string]magichour.Download, len(downloads))
	for _, d := range downloads {
		byPath[d.Path()] = d
	}
	links := make(map[int]magichour.Download, len(sources))
	for _, s := range sources {
		d, found := byPath[s.Path]
		if !found {
			return nil, false
		}
		links[s.N] = d
	}
	return links, len(byPath) == len(sources)
}

const unknownExtension = "bin"

var plainExtension = regexp.MustCompile(`^[A-Za-z0-9]{1,8}$`)

// extension names the form of a file: as the URL's path says, else as the content type says.
func extension(urlPath, contentType string) string {
	if ext := strings.TrimPrefix(path.Ext(urlPath), "."); plainExtension.MatchString(ext) {
		return ext
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return unknownExtension
	}
	if ext, known := extensions[media]; known {
		return ext
	}
	return unknownExtension
}

// extensions of what the API makes. The table of the system differs from machine to machine,
// and the key of an object must not.
var extensions = map[string]string{
	"video/mp4": "mp4", "video/quicktime": "mov", "video/webm": "webm",
	"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "image/avif": "avif",
	"audio/mpeg": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/mp4": "m4a", "audio/flac": "flac", "audio/ogg": "ogg", "audio/aac": "aac",
}
