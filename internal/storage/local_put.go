package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
)

// Put implements Store. Bytes go to a temporary file beside the object, and the object
// appears whole: by a hard link, which never replaces, or by a rename, which does.
func (l *local) Put(ctx context.Context, key string, r io.Reader, o PutOptions) (Object, error) {
	object, err := l.put(ctx, key, r, o)
	if err != nil {
		return Object{}, fmt.Errorf("put %s in %s: %w", key, l.dir, err)
	}
	return object, nil
}

func (l *local) put(ctx context.Context, key string, r io.Reader, o PutOptions) (Object, error) {
	o, err := o.normalized()
	if err != nil {
		return Object{}, err
	}
	body := newSource(ctx, r, o.Size)
	err = l.within(key, func(root *os.Root) error {
		return l.copyTo(ctx, root, key, body, o)
	})
	if err != nil {
		return Object{}, err
	}
	return l.confirm(ctx, key, body)
}

func (l *local) copyTo(ctx context.Context, root *os.Root, key string, body *source, o PutOptions) error {
	folder := path.Dir(key)
	if err := root.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	temporary, err := writeTemporary(root, folder, body)
	if err != nil {
		return err
	}
	defer discard(root, temporary)
	if err := l.publish(ctx, root, temporary, key, body, o); err != nil {
		return err
	}
	sweep(root, key, body.crc)
	return syncFolders(root, folder)
}

// publish makes a finished temporary file the object, unless one stands there.
func (l *local) publish(ctx context.Context, root *os.Root, temporary, key string, body *source, o PutOptions) error {
	if !o.Replace {
		// A sidecar written now would change the metadata of what stands there.
		if _, err := root.Lstat(key); err == nil {
			return l.compare(ctx, key, body)
		}
	}
	if err := writeSidecar(root, key, body, o); err != nil {
		return err
	}
	if o.Replace {
		return root.Rename(temporary, key)
	}
	err := root.Link(temporary, key)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	err = l.compare(ctx, key, body)
	if errors.Is(err, ErrExists) {
		discard(root, sidecarName(key, body.crc)) // the winner has another
	}
	return err
}

// compare decides about an object that stood there first.
func (l *local) compare(ctx context.Context, key string, body *source) error {
	object, err := l.head(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("a folder stands there: %w", fs.ErrExist)
	case err != nil:
		return err
	case object.Size != body.size || object.Checksum != body.checksum():
		return ErrExists
	}
	return nil
}

// confirm reads the object back from the store.
func (l *local) confirm(ctx context.Context, key string, body *source) (Object, error) {
	object, err := l.head(ctx, key)
	if err != nil {
		return Object{}, err
	}
	if object.Size != body.size || object.Checksum != body.checksum() {
		return Object{}, fmt.Errorf("%w: wrote %d bytes %s, read back %d bytes %s; see whether another program writes there, and whether the disk is well",
			ErrUnproved, body.size, body.checksum(), object.Size, object.Checksum)
	}
	return object, nil
}

// writeTemporary writes a body to a new file in the folder and makes it durable.
func writeTemporary(root *os.Root, folder string, body io.Reader) (string, error) {
	name := temporaryName(folder)
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	err = pour(file, body)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		discard(root, name)
		return "", err
	}
	return name, nil
}

// discard removes what is not needed any more. What it cannot remove, the sweep takes.
func discard(root *os.Root, name string) {
	_ = root.Remove(name)
}

// temporaryName begins with a dot, which no segment of a key does.
func temporaryName(folder string) string {
	return path.Join(folder, "."+rand.Text()+temporarySuffix)
}

// syncFolders makes new names durable, up to the root, since parents may be new as well.
func syncFolders(root *os.Root, folder string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot sync folders
	}
	for ; ; folder = path.Dir(folder) {
		file, err := root.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			return err
		}
		if folder == "." {
			return nil
		}
	}
}
