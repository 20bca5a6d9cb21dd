package storage_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/internal/storage/storagetest"
)

// putLocal puts a body with metadata at "j1/1.mp4".
func putLocal(t *testing.T, store storage.Store, body string) {
	t.Helper()
	_, err := store.Put(t.Context(), "j1/1.mp4", strings.NewReader(body), storage.PutOptions{
		Size: int64(len(body)), Metadata: map[string]string{"project": "cm1"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestLocalFiles(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	putLocal(t, store, "123456789")
	want := []string{".1.mp4.ae8b14860a799888.meta", "1.mp4"}
	if diff := cmp.Diff(want, names(t, filepath.Join(dir, "j1"))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	object, err := store.Head(t.Context(), "j1/1.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if object.Key != "j1/1.mp4" || !strings.HasPrefix(object.URL, "file:///") || !strings.HasSuffix(object.URL, "/media%20files/j1/1.mp4") {
		t.Errorf("got %s, %s", object.Key, object.URL)
	}
	again, err := storage.Open(t.Context(), strings.TrimSuffix(object.URL, "/j1/1.mp4"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if same, err := again.Head(t.Context(), "j1/1.mp4"); err != nil || same.URL != object.URL {
		t.Errorf("opened by the object's URL: got %+v, %v", same, err)
	}
}

// While a copy is under way, and after it failed, nothing has the name of an object.
func TestLocalHalfFiles(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	look := cancels(func() {
		for _, name := range names(t, filepath.Join(dir, "j1")) {
			if !strings.HasPrefix(name, ".") {
				t.Errorf("half a file is visible as %s", name)
			}
		}
	})
	r := io.MultiReader(bytes.NewReader(storagetest.Body(1<<20, 1)), look)
	if _, err := store.Put(t.Context(), "j1/1.mp4", r, storage.PutOptions{Size: 2 << 20}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
	if left := names(t, filepath.Join(dir, "j1")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Metadata belongs to bytes: it must not vouch for others.
func TestLocalMetadataOfAnotherContent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(t *testing.T, folder string)
		body   string
	}{
		{"the file was changed", func(t *testing.T, folder string) { write(t, folder, "1.mp4", "other") }, "other"},
		{"the sidecar is gone", func(t *testing.T, folder string) {
			if err := os.Remove(filepath.Join(folder, ".1.mp4.ae8b14860a799888.meta")); err != nil {
				t.Fatal(err)
			}
		}, "123456789"},
		{"the sidecar is broken", func(t *testing.T, folder string) {
			write(t, folder, ".1.mp4.ae8b14860a799888.meta", `{"v":1,`)
		}, "123456789"},
		{"the sidecar is of another length", func(t *testing.T, folder string) {
			write(t, folder, ".1.mp4.ae8b14860a799888.meta", `{"v":1,"size":8,"metadata":{"project":"cm1"}}`)
		}, "123456789"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store, dir := openLocal(t)
			putLocal(t, store, "123456789")
			test.change(t, filepath.Join(dir, "j1"))
			object, err := store.Head(t.Context(), "j1/1.mp4")
			if err != nil {
				t.Fatal(err)
			}
			if object.Checksum != storagetest.Checksum([]byte(test.body)) || len(object.Metadata) > 0 {
				t.Errorf("got %+v, want the checksum of %q and no metadata", object, test.body)
			}
		})
	}
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// temporary is the name of a file that a copy is written to, of one letter.
func temporary(letter rune) string { return "." + strings.Repeat(string(letter), 26) + ".part" }

func TestLocalSweepsOldLitter(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	folder := filepath.Join(dir, "j1")
	if err := os.Mkdir(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	litter := []struct {
		name string
		age  time.Duration
		kept bool
	}{
		{temporary('A'), 25 * time.Hour, false},
		{temporary('B'), 23 * time.Hour, true},
		{".OURS.part", 25 * time.Hour, true}, // not ours
		{".1.mp4.0000000000000000.meta", 25 * time.Hour, false},
		{".1.mp4.1111111111111111.meta", 23 * time.Hour, true},     // a replacement may be under way
		{".1.mp4.x.0000000000000000.meta", 25 * time.Hour, true},   // of 1.mp4.x
		{".2.mp4.0000000000000000.meta", 25 * time.Hour, true},     // of 2.mp4
		{"0.part", 25 * time.Hour, true},                           // an object
		{".DS_Store", 25 * time.Hour, true},                        // somebody else's
		{".1.mp4.ae8b14860a799888.meta", 25 * time.Hour, true},     // about to be replaced
		{".part", 23 * time.Hour, true},                            // young
		{".1.mp4.ae8b14860a799888.metadata", 25 * time.Hour, true}, // somebody else's
	}
	want := map[string]bool{"1.mp4": true}
	for _, l := range litter {
		write(t, folder, l.name, "")
		then := time.Now().Add(-l.age)
		if err := os.Chtimes(filepath.Join(folder, l.name), then, then); err != nil {
			t.Fatal(err)
		}
		if l.kept {
			want[l.name] = true
		}
	}
	putLocal(t, store, "123456789")
	got := map[string]bool{}
	for _, name := range names(t, folder) {
		got[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestLocalDoesNotFollowLinksOut(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	outside := t.TempDir()
	write(t, outside, "secret", "secret")
	if err := os.Symlink(outside, filepath.Join(dir, "j1")); err != nil {
		t.Skip(err)
	}
	if _, err := store.Put(t.Context(), "j1/1.mp4", strings.NewReader("x"), storage.PutOptions{Size: 1}); err == nil {
		t.Error("put: got success")
	}
	if _, err := store.Head(t.Context(), "j1/secret"); err == nil {
		t.Error("head: got success")
	}
	if r, err := store.Open(t.Context(), "j1/secret"); err == nil {
		t.Error("open: got success", r.Close())
	}
	if got := names(t, outside); len(got) != 1 {
		t.Errorf("outside: got %v", got)
	}
}

// A folder or file of somebody in the way is neither overwritten nor taken for an object.
func TestLocalInTheWay(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	if err := os.MkdirAll(filepath.Join(dir, "j1", "1.mp4"), 0o750); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "j2", "a file")
	for _, key := range []string{"j1/1.mp4", "j2/1.mp4"} {
		for _, replace := range []bool{false, true} {
			_, err := store.Put(t.Context(), key, strings.NewReader("x"), storage.PutOptions{Size: 1, Replace: replace})
			if err == nil || errors.Is(err, storage.ErrExists) {
				t.Errorf("put %s, replace %t: got %v", key, replace, err)
			}
		}
		if _, err := store.Head(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("head %s: got %v, want fs.ErrNotExist", key, err)
		}
	}
}

// A store that is gone must not be taken for an empty one.
func TestLocalFolderGone(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	_, err := store.Head(t.Context(), "j1/1.mp4")
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("head: got %v, want an error other than fs.ErrNotExist", err)
	}
	if _, err := store.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "mount it") {
		t.Errorf("check: got %v, want what to do", err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	putLocal(t, store, "back again")
	if _, err := store.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if diff := cmp.Diff([]string{"j1"}, names(t, dir)); diff != "" {
		t.Errorf("check left (-want +got):\n%s", diff)
	}
}

// Tidy looks into every folder, so that it must know its own from what others call so.
func TestLocalTidiesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	putLocal(t, store, "123456789")
	files := []struct {
		folder, name string
		age          time.Duration
		kept         bool
	}{
		{"j1", temporary('A'), 49 * time.Hour, false},
		{"j1", temporary('B'), 47 * time.Hour, true},
		{"", temporary('C'), 49 * time.Hour, false},
		{"j2", temporary('D'), 49 * time.Hour, false},
		{"j2", "film.mkv.part", 49 * time.Hour, true},
		{"j2", ".film.part", 49 * time.Hour, true},
		{"j2", ".1.mp4.0000000000000000.meta", 49 * time.Hour, true},
	}
	if err := os.Mkdir(filepath.Join(dir, "j2"), 0o750); err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, f := range files {
		write(t, filepath.Join(dir, f.folder), f.name, "")
		then := time.Now().Add(-f.age)
		if err := os.Chtimes(filepath.Join(dir, f.folder, f.name), then, then); err != nil {
			t.Fatal(err)
		}
		if !f.kept {
			removed++
		}
	}
	if n, err := store.Tidy(t.Context(), "", 48*time.Hour); n != removed || err != nil {
		t.Errorf("got %d, %v; want %d", n, err, removed)
	}
	for _, f := range files {
		if _, err := os.Stat(filepath.Join(dir, f.folder, f.name)); (err == nil) != f.kept {
			t.Errorf("%s/%s: got %v, kept: want %t", f.folder, f.name, err, f.kept)
		}
	}
}

// What could not be renamed is not left behind.
func TestLocalLeavesNoTemporaryFile(t *testing.T) {
	t.Parallel()
	store, dir := openLocal(t)
	inTheWay := filepath.Join(dir, "j1", ".1.mp4.ae8b14860a799888.meta")
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "j1/1.mp4", strings.NewReader("123456789"), storage.PutOptions{Size: 9}); err == nil {
		t.Error("got no error, and nothing could be noted about the file")
	}
	if diff := cmp.Diff([]string{filepath.Base(inTheWay)}, names(t, filepath.Join(dir, "j1"))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
