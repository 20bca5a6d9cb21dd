package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// local keeps objects as plain files below one directory; see the package comment for the
// names it uses beside them. The directory is opened anew for every call, so that one that
// was moved or mounted meanwhile is seen, and through os.Root, so that neither a key nor a
// symbolic link leads out of it.
type local struct {
	dir string // absolute
}

func openLocal(dir string) (*local, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the files are for other programs to read
		return nil, fmt.Errorf("storage folder: %w; make it, or give the worker the right to", err)
	}
	return &local{dir: dir}, nil
}

// Head reads the whole file: a checksum noted when it was written would prove nothing now.
func (l *local) Head(ctx context.Context, key string) (Object, error) {
	object, err := l.head(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("head %s in %s: %w", key, l.dir, err)
	}
	return object, nil
}

func (l *local) head(ctx context.Context, key string) (object Object, err error) {
	err = l.within(key, func(root *os.Root) error {
		file, err := openRegular(root, key)
		if err != nil {
			return err
		}
		body := newSource(ctx, file, -1)
		if err := errors.Join(drain(body), file.Close()); err != nil {
			return err
		}
		object = l.object(key, body, readSidecar(root, key, body.crc, body.size))
		return nil
	})
	return object, err
}

func (l *local) object(key string, body *source, side sidecar) Object {
	return Object{
		Key:         key,
		URL:         fileURL(filepath.Join(l.dir, filepath.FromSlash(key))),
		Size:        body.size,
		Checksum:    body.checksum(),
		ContentType: side.ContentType,
		Metadata:    side.Metadata,
		AsGiven:     side.Checksum == body.checksum(),
	}
}

// Open implements Store.
func (l *local) Open(_ context.Context, key string) (io.ReadCloser, error) {
	var file *os.File
	err := l.within(key, func(root *os.Root) (err error) {
		file, err = openRegular(root, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s in %s: %w", key, l.dir, err)
	}
	return file, nil
}

// within opens the store's directory for one piece of work on a key. That the directory is
// gone must not read as "no such object", or a copy that is safe on an unmounted disk would
// look lost.
func (l *local) within(key string, work func(*os.Root) error) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return l.inRoot(work)
}

func (l *local) inRoot(work func(*os.Root) error) error {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return fmt.Errorf("storage folder: %v; mount it, or make it", err) //nolint:errorlint // hides fs.ErrNotExist on purpose
	}
	return errors.Join(work(root), root.Close())
}

// openRegular opens a file. A folder is no object, and nothing stands below a file.
func openRegular(root *os.Root, key string) (*os.File, error) {
	info, err := root.Stat(key)
	if errors.Is(err, syscall.ENOTDIR) || err == nil && info.IsDir() {
		return nil, fs.ErrNotExist
	}
	if err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for its writer
		return nil, fmt.Errorf("not a regular file: %w", fs.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return root.Open(key)
}

// Check writes a file, links it and removes both: that shows a full or read-only disk, and a
// file system without hard links, which Put needs to never overwrite.
func (l *local) Check(context.Context) (Proof, error) {
	err := l.within("check", func(root *os.Root) error {
		name, err := writeTemporary(root, ".", strings.NewReader("hourglass\n"))
		if err != nil {
			return fmt.Errorf("%w; give the worker the right to write there, or make room", err)
		}
		defer discard(root, name)
		link := temporaryName(".")
		if err := root.Link(name, link); err != nil {
			return fmt.Errorf("%w; use a file system that has hard links", err)
		}
		defer discard(root, link)
		return syncFolders(root, ".")
	})
	if err != nil {
		return "", fmt.Errorf("check storage folder %s: %w", l.dir, err)
	}
	return ReadLocal, nil
}
