package storage

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"time"
)

const (
	temporarySuffix = ".part"
	litterAge       = 24 * time.Hour // no copy goes a day without writing a byte
)

// sweep removes what crashed copies left in the folder of a key, once it is a day old:
// temporary files, and sidecars of this key for contents it does not have. It runs after
// every Put, so a copy that is tried again cleans up after itself.
func sweep(root *os.Root, key string, crc uint64) {
	entries, err := fs.ReadDir(root.FS(), path.Dir(key))
	if err != nil {
		return
	}
	keep := path.Base(sidecarName(key, crc))
	for _, entry := range entries {
		name := entry.Name()
		if name == keep || !isTemporary(name) && !isSidecarOf(name, path.Base(key)) {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > litterAge {
			discard(root, path.Join(path.Dir(key), name))
		}
	}
}

// isTemporary is strict, since Tidy looks into every folder and other programs have files that end
// in ".part" too.
func isTemporary(name string) bool {
	return ourTemporary.MatchString(name)
}

var ourTemporary = regexp.MustCompile(`^\.[A-Z2-7]{26}\` + temporarySuffix + `$`)

// isSidecarOf goes by the length too: ".a.b.<16 digits>.meta" is of "a.b" and not of "a".
func isSidecarOf(name, object string) bool {
	return strings.HasPrefix(name, "."+object+".") && strings.HasSuffix(name, sidecarSuffix) &&
		len(name) == len(sidecarName(object, 0))
}
