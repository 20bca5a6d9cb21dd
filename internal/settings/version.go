package settings

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// version is set by the linker where a build has no repository around it, as in an image:
// -ldflags "-X github.com/seed-290c2414/hourglass/internal/settings.version=v1.2.3".
var version string

// Version is what this program was built from: a release, a commit, or "(devel)" for go run.
func Version() string {
	built := version
	if info, ok := debug.ReadBuildInfo(); ok {
		built = cmp.Or(built, info.Main.Version)
	}
	return cmp.Or(built, "(devel)") + " " + runtime.Version()
}
