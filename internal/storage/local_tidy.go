package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Tidy implements Store.
func (l *local) Tidy(ctx context.Context, folder string, age time.Duration) (removed int, err error) {
	if folder != "" {
		err = checkKey(folder)
	}
	if err == nil {
		err = l.inRoot(func(root *os.Root) (err error) {
			removed, err = tidyFolder(ctx, root, cmp.Or(folder, "."), age)
			return err
		})
	}
	if err != nil {
		return removed, fmt.Errorf("tidy %q in %s: %w", folder, l.dir, err)
	}
	return removed, nil
}

// tidyFolder looks into a folder, and of the root into all below. What vanishes meanwhile is gone, as wanted.
func tidyFolder(ctx context.Context, root *os.Root, folder string, age time.Duration) (removed int, err error) {
	var errs []error
	note := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	err = fs.WalkDir(root.FS(), folder, func(path string, entry fs.DirEntry, err error) error {
		note(err)
		if err == nil && entry.IsDir() && path != folder && folder != "." {
			return fs.SkipDir // of another job, whose key prefix is this one's id
		}
		if err != nil || ctx.Err() != nil || entry.IsDir() || !isTemporary(entry.Name()) {
			return ctx.Err()
		}
		info, err := entry.Info()
		note(err)
		if err != nil || !olderThan(info.ModTime(), age) {
			return nil
		}
		err = root.Remove(filepath.FromSlash(path))
		note(err)
		if err == nil {
			removed++
		}
		return nil
	})
	return removed, errors.Join(append(errs, err)...)
}

// olderThan goes by two clocks, ours and that of the store. 0 is any age: also one in the future.
func olderThan(at time.Time, age time.Duration) bool {
	return age <= 0 || time.Since(at) > age
}
