package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/tracing"
	"github.com/seed-290c2414/hourglass/tasks"
)

const filesHelp = `An input may be the name of a file on this machine, ./cover.png: it is uploaded to Magic Hour, once for its content,
when everything has been checked and before anything is enqueued. That takes ` + varKey + ` (or ` + varKey + `_FILE).
A name that begins like a path at Magic Hour (image/, video/, audio/, ...) is one; ./image/ is not.`

// A localFile is a file of this machine that requests name as an input.
type localFile struct {
	name     string
	file     magichour.File
	modified time.Time
	sum      string // SHA-256 in hex, once it was read
	path     string // at Magic Hour; until it is known, one that stands for it
	there    bool   // whether it is known
}

// files are the local files of one call, each once.
type files struct {
	all    []*localFile
	byName map[fileName]*localFile
}

// A fileName is what a file is found by: one that is to be uploaded as two types of file is two.
type fileName struct {
	name string
	as   operations.Kind
}

// standIn returns a request in which each local file is a path at Magic Hour, the one that is known of it by
// now, and whether it names any. The error says what is wrong with the files; then the request can be checked
// all the same.
func (f *files) standIn(operation string, body json.RawMessage) (changed json.RawMessage, named bool, err error) {
	op, _ := operations.Lookup(operation)
	var problems []error
	changed, err = op.WithAssets(body, func(a operations.Asset) string {
		if !a.Local() {
			return a.Ref
		}
		named = true
		l, err := f.find(a)
		if err != nil {
			problems = append(problems, fmt.Errorf("%w: %s: %.200s: %w", tasks.ErrInvalid, a.Path, a.Ref, err))
			return "api-assets/unknown/file." + a.Extension
		}
		return l.path
	})
	if err != nil || !named {
		return body, false, nil //nolint:nilerr // what is wrong with the body is said when it is checked
	}
	return changed, true, errors.Join(problems...)
}

// find looks at a file, once for every type that it is to be uploaded as.
func (f *files) find(a operations.Asset) (*localFile, error) {
	name := fileName{a.Ref, a.Type}
	if l, known := f.byName[name]; known {
		return l, nil
	}
	info, err := os.Stat(a.Ref)
	var wrong *fs.PathError
	switch {
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("%w; want a file, a URL, s3://bucket/key or the path of an uploaded file", wrong.Err)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is no regular file")
	case a.Type == "":
		return nil, errors.New("must end in an extension that is supported here (.png, .mp4, .mp3, ...)")
	case info.Size() == 0:
		return nil, errors.New("is empty")
	case info.Size() > magichour.LargestUpload:
		return nil, errors.New("is larger than 5 GiB, which is all that one upload carries")
	}
	l := &localFile{
		name: a.Ref, modified: info.ModTime(), path: fmt.Sprintf("api-assets/local/%d.%s", len(f.all)+1, a.Extension),
		file: magichour.File{Type: a.Type, Extension: a.Extension, Size: info.Size()},
	}
	if f.byName == nil {
		f.byName = map[fileName]*localFile{}
	}
	f.all, f.byName[name] = append(f.all, l), l
	return l, nil
}

// An uploader brings files to Magic Hour.
type uploader struct {
	api    *magichour.Client
	store  *records.Store
	stderr io.Writer
}

// newAPI returns a client of the API, for a command that can't go on without its key.
func newAPI(c *cli.Command) (*magichour.Client, error) {
	key := func() (string, error) { return settings.Secret(varKey) }
	if _, err := key(); err != nil {
		return nil, err
	}
	api, err := magichour.New(c.String(settings.FlagName(varBaseURL)), key, tracing.API(c.String(settings.FlagName(varBaseURL))))
	if err != nil {
		return nil, settings.Usage("%s: %w", varBaseURL, err)
	}
	return api, nil
}

func baseURLFlag() cli.Flag {
	return &cli.StringFlag{Name: settings.FlagName(varBaseURL), Value: magichour.DefaultBaseURL, Usage: "base URL of the Magic Hour API", Sources: settings.From(varBaseURL)}
}

// recall finds out which files are at Magic Hour already, by their content.
func (u *uploader) recall(ctx context.Context, f *files) error {
	for _, l := range f.all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := l.read(); err != nil {
			return err
		}
		content, err := u.contentOf(l)
		if err != nil {
			return err
		}
		kept, found, err := u.store.KeptUpload(ctx, content)
		if err != nil {
			return err
		}
		if found && time.Since(kept.At) < magichour.UploadLife {
			l.path, l.there = kept.FilePath, true
		}
	}
	return nil
}

func (u *uploader) contentOf(l *localFile) (string, error) {
	text, err := json.Marshal([]string{"sha256", l.sum})
	if err != nil {
		return "", err
	}
	return u.api.ContentID(l.file, string(text))
}

// read computes the checksum of a file.
func (l *localFile) read() error {
	file, err := os.Open(l.name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if n, err := io.Copy(sum, file); err != nil || n != l.file.Size {
		return errors.Join(l.changed(), err)
	}
	l.sum = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (l *localFile) changed() error {
	return fmt.Errorf("%s: has changed while it was read; nothing was enqueued", l.name)
}

// uploadsAtOnce is how many files are on their way at a time.
const uploadsAtOnce = 4

// upload uploads the files that are not at Magic Hour yet. After the first error no other is begun.
func (u *uploader) upload(ctx context.Context, f *files) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	left := make(chan *localFile)
	var sending sync.WaitGroup
	for range uploadsAtOnce {
		sending.Go(func() {
			for l := range left {
				if err := u.send(ctx, l); err != nil {
					cancel(err) // only the first one counts
				}
			}
		})
	}
	type content struct{ as, sum string }
	contentOf := func(l *localFile) content { return content{string(l.file.Type) + "." + l.file.Extension, l.sum} }
	first := map[content]*localFile{}
	for _, l := range f.all {
		if l.there || first[contentOf(l)] != nil || ctx.Err() != nil {
			continue
		}
		first[contentOf(l)] = l
		left <- l
		_, _ = fmt.Fprintf(u.stderr, "uploading %s (%d bytes)\n", l.name, l.file.Size)
	}
	close(left)
	sending.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, l := range f.all { // equal files have one path
		if twin := first[contentOf(l)]; twin != nil {
			l.path, l.there = twin.path, true
		}
	}
	return nil
}

// send uploads one file, if it still is what it was.
func (u *uploader) send(ctx context.Context, l *localFile) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	file, err := os.Open(l.name)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil || info.Size() != l.file.Size || !info.ModTime().Equal(l.modified) {
		return errors.Join(l.changed(), err, file.Close())
	}
	sum, at := sha256.New(), time.Now()
	body := struct {
		io.Reader
		io.Closer
	}{io.TeeReader(io.LimitReader(file, l.file.Size), sum), file}
	path, err := u.api.Upload(ctx, l.file, body)
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		// In words only: it is not Redis that could not be reached.
		return fmt.Errorf("upload %s: %s; nothing was enqueued", l.name, err.Error())
	case hex.EncodeToString(sum.Sum(nil)) != l.sum:
		return l.changed()
	}
	content, err := u.contentOf(l)
	if err != nil {
		return err
	}
	// What is uploaded is remembered, also if another file has just ended the call.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWithin)
	defer cancel()
	up, err := u.store.KeepUpload(ctx, content, records.Upload{FilePath: path, At: at}, magichour.UploadLife)
	l.path, l.there = up.FilePath, true // who has uploaded it at the same time may have been first
	return err
}

const keepWithin = 10 * time.Second
