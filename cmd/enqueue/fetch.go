package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// What stands where a file belongs.
type standing int

const (
	nothing standing = iota
	same
	other
)

// standsAt tells whether a file is there already.
func standsAt(name string, o tasks.Output) (standing, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nothing, nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() != o.Size {
		return other, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nothing, err
	}
	defer func() { _ = file.Close() }()
	var digest storage.Digest
	if _, err := io.Copy(&digest, file); err != nil {
		return nothing, err
	}
	if digest.String() != o.Checksum {
		return other, nil
	}
	return same, nil
}

// fetch reads a file from the store into a temporary one beside its place, which gets the name once its bytes are those
// of the record.
func (g *getter) fetch(ctx context.Context, w wantedFile) (err error) {
	from, err := g.files.Open(ctx, w.URL)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: is not in the store any more, or not in what this machine sees of it: %w", w.URL, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if err := os.MkdirAll(filepath.Dir(w.Path), 0o777); err != nil { //nolint:gosec // the person's own folder, as their umask says
		return err
	}
	temporary := filepath.Join(filepath.Dir(w.Path), "."+filepath.Base(w.Path)+"."+rand.Text()[:8]+".part")
	to, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	if err := errors.Join(g.copyChecked(ctx, to, from, w), to.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, w.Path)
}

// copyChecked copies the bytes that the record promises, or says that they are not those.
func (g *getter) copyChecked(ctx context.Context, to io.Writer, from io.Reader, w wantedFile) error {
	counted, done := g.show.file(w)
	defer done()
	var digest storage.Digest
	// One byte more than the record says is enough to see that there are more.
	n, err := io.Copy(io.MultiWriter(to, &digest, counted), io.LimitReader(&untilDone{ctx, from}, w.Size+1))
	if err != nil {
		return err
	}
	if n != w.Size || digest.String() != w.Checksum {
		return fmt.Errorf("%s: the store gives other bytes than were copied there: %d bytes with %s, want %d with %s; nothing was kept", w.URL, n, digest.String(), w.Size, w.Checksum)
	}
	return nil
}

// An untilDone is read until its context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}
