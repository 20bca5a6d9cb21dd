package storage

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"
)

const sidecarSuffix = ".meta"

// sidecar keeps what a file cannot: JSON, so that people can read it.
type sidecar struct {
	V           int               `json:"v"`
	Size        int64             `json:"size"`
	Checksum    string            `json:"checksum"`
	ContentType string            `json:"content_type"`
	Metadata    map[string]string `json:"metadata,omitempty"`
}

// sidecarName is ".1.mp4.0123456789abcdef.meta" for 1.mp4. The dot keeps it out of the way
// of every key. The checksum of the content lets the sidecar of a new content be written
// before that content is visible, while the old content keeps its own; and of two writers
// who race for a key, neither touches the sidecar of the other.
func sidecarName(key string, crc uint64) string {
	folder, name := path.Split(key)
	return fmt.Sprintf("%s.%s.%016x%s", folder, name, crc, sidecarSuffix)
}

// writeSidecar replaces the sidecar of this content, which may be left over from a copy that
// was never finished.
func writeSidecar(root *os.Root, key string, body *source, o PutOptions) error {
	text, err := json.Marshal(sidecar{
		V: 1, Size: body.size, Checksum: body.checksum(),
		ContentType: o.ContentType, Metadata: o.Metadata,
	})
	if err != nil {
		return err
	}
	temporary, err := writeTemporary(root, path.Dir(key), strings.NewReader(string(text)+"\n"))
	if err != nil {
		return err
	}
	defer discard(root, temporary) // what could not be renamed
	return root.Rename(temporary, sidecarName(key, body.crc))
}

// readSidecar returns what was noted about this very content. A file that somebody else put
// there, or changed, is known by its bytes alone.
func readSidecar(root *os.Root, key string, crc uint64, size int64) sidecar {
	unknown := sidecar{ContentType: defaultContentType}
	text, err := root.ReadFile(sidecarName(key, crc))
	if err != nil {
		return unknown
	}
	var side sidecar
	if json.Unmarshal(text, &side) != nil || side.Size != size {
		return unknown
	}
	return side
}
