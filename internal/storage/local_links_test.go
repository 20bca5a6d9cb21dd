package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// TestLocalLinks lays symbolic links wherever a key, or what a copy writes beside it, could be led out of
// the folder. Nothing outside is read, written or removed.
func TestLocalLinks(t *testing.T) {
	t.Parallel()
	const key, body = "a/b/1.mp4", "123456789"
	meta := ".1.mp4.ae8b14860a799888.meta"
	tests := []struct {
		name, at string // of the link
		to       string // "OUT" is a folder outside; "DIR" the store's own
		works    bool   // a copy to key: whatever it does, it must stay inside
		replaces bool   // the same with Replace
	}{
		{"the first folder", "a", "OUT", false, false},
		{"a folder below", "a/b", "OUT", false, false},
		{"by its parents", "a/b", "../../OUT", false, false},
		{"to a folder that is not there", "a/b", "OUT/new", false, false},
		{"to the root of the disk", "a/b", "/", false, false},
		{"in a circle", "a/b", "b", false, false},
		{"inside, absolute", "a/b", "DIR/inside", false, false}, // os.Root takes no absolute link
		{"inside", "a/b", "../inside", true, true},
		{"the object", key, "OUT/1.mp4", false, true}, // the link is replaced, and not what it leads to
		{"the object, to a secret", key, "OUT/secret", false, true},
		{"its metadata", "a/b/" + meta, "OUT/secret", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, replace := range []bool{false, true} {
				store, dir := openLocal(t)
				outside := filepath.Join(filepath.Dir(dir), "outside")
				mkdirs(t, outside, filepath.Join(dir, "inside"), filepath.Dir(filepath.Join(dir, filepath.FromSlash(tt.at))))
				write(t, outside, "secret", "secret")
				old := filepath.Join(outside, temporary('A'))
				write(t, outside, temporary('A'), "old")
				then := time.Now().Add(-1000 * time.Hour)
				if err := os.Chtimes(old, then, then); err != nil {
					t.Fatal(err)
				}
				to := strings.NewReplacer("../../OUT", "../../outside", "OUT", outside, "DIR", dir).Replace(tt.to)
				if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(tt.at))); err != nil {
					t.Skip(err)
				}
				_, err := store.Put(t.Context(), key, strings.NewReader(body), storage.PutOptions{Size: int64(len(body)), Replace: replace})
				want := tt.works
				if replace {
					want = tt.replaces
				}
				if (err == nil) != want {
					t.Errorf("put, replace %t: got %v, success wanted: %t", replace, err, want)
				}
				for _, name := range []string{key, "a/secret", "a/b/secret"} {
					object, err := store.Head(t.Context(), name)
					if err == nil && object.Size != int64(len(body)) {
						t.Errorf("head %s: got %+v from outside", name, object)
					}
					if r, openErr := store.Open(t.Context(), name); (openErr == nil) != (err == nil) {
						t.Errorf("open %s: got %v, and head %v", name, openErr, err)
					} else if openErr == nil {
						_ = r.Close()
					}
				}
				for _, prefix := range []string{"", "a", "a/b"} {
					_, _ = store.Tidy(t.Context(), prefix, 0)
				}
				if diff := cmp.Diff([]string{temporary('A'), "secret"}, names(t, outside)); diff != "" {
					t.Errorf("outside (-want +got):\n%s", diff)
				}
				if text, err := os.ReadFile(filepath.Join(outside, "secret")); err != nil || string(text) != "secret" {
					t.Errorf("the secret is %q, %v", text, err)
				}
			}
		})
	}
}

func mkdirs(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLocalLinkedMetadata: a sidecar that leads elsewhere says nothing of the object.
func TestLocalLinkedMetadata(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	putLocal(t, store, "123456789")
	meta := filepath.Join(dir, "j1", ".1.mp4.ae8b14860a799888.meta")
	outside := filepath.Join(filepath.Dir(dir), "theirs")
	if err := errors.Join(os.Rename(meta, outside), os.Symlink(outside, meta)); err != nil {
		t.Fatal(err)
	}
	if object, err := store.Head(t.Context(), "j1/1.mp4"); err != nil || len(object.Metadata) != 0 {
		t.Errorf("got %+v, %v; want no metadata from outside", object, err)
	}
}

// TestLocalLongNames: a name as long as it may be has room for what is written beside it, and one that is
// longer is refused before anything is.
func TestLocalLongNames(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	long := strings.Repeat("x", 196) + ".mp4"
	for _, tt := range []struct {
		key string
		ok  bool
	}{
		{long + "/" + long, true},
		{strings.Repeat("ü", 100) + "/1.mp4", true},
		{"j1/x" + long, false},
		{"x" + long + "/1.mp4", false},
	} {
		_, err := store.Put(t.Context(), tt.key, strings.NewReader("x"), storage.PutOptions{Size: 1, Metadata: map[string]string{"job": "j1"}})
		if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%d bytes: got %v, success wanted: %t", len(tt.key), err, tt.ok)
		}
		if object, err := store.Head(t.Context(), tt.key); tt.ok && (err != nil || object.Metadata["job"] != "j1") {
			t.Errorf("head: got %+v, %v", object, err)
		}
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("got %d folders, want those of the two that were taken", len(got))
	}
}
