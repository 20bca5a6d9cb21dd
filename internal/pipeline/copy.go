package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// mostRestarts is how often a copy begins anew because its source has changed under it.
const mostRestarts = 2

// copy brings one output into the store and returns it as the store confirmed it.
func (p *Pipeline) copy(ctx context.Context, job *tasks.Job, s tasks.Source, urls *freshest) (file manifestFile, err error) {
	look := !p.untried(ctx, job)
	for range 1 + mostRestarts {
		file, err = p.copyOnce(ctx, job, s, urls, look)
		if errors.Is(err, storage.ErrExists) {
			// Of a write whose answer was lost, too: then it is our own that stands there, damaged.
			look = true
			file, err = p.copyOnce(ctx, job, s, urls, look)
		}
		if !errors.Is(err, magichour.ErrChanged) {
			break
		}
	}
	return file, err
}

// lease is how long a handler that has died keeps its task.
const lease = 30 * time.Second

// untried reports whether nobody can have begun to copy a job before: then there is nothing to look for. A
// copy that stands there all the same is found when the store refuses to overwrite it.
func (p *Pipeline) untried(ctx context.Context, job *tasks.Job) bool {
	retried, _ := asynq.GetRetryCount(ctx)
	return retried == 0 && job.Epoch == 1 && p.now().Sub(job.StateAt) < lease
}

// inOneGo is the size up to which a file goes to the store in one request, so that it costs less to be
// refused there than to look before: a third of all requests to the store.
const inOneGo = 8 << 20

// copyOnce copies an output, unless that is what it finds in the store. look may be false where nothing is
// expected there; an object that stands there all the same is ErrExists then.
func (p *Pipeline) copyOnce(ctx context.Context, job *tasks.Job, s tasks.Source, urls *freshest, look bool) (manifestFile, error) {
	media := &lazyMedia{open: func() (*magichour.Media, error) { return p.open(ctx, s.N, urls) }}
	defer media.close()
	key, err := outputKey(job, s, media)
	if err != nil {
		return manifestFile{}, err
	}
	if !look {
		m, err := media.get()
		if err != nil {
			return manifestFile{}, err
		}
		look = m.Size < 0 || m.Size > inOneGo
	}
	replace := false
	if look {
		standing, may, err := p.standing(ctx, job, key)
		if err != nil {
			return manifestFile{}, err
		}
		if standing != nil && isCopyOf(*standing, job, s) {
			return file(s, *standing), nil
		}
		replace = may
	}
	m, err := media.get()
	if err != nil {
		return manifestFile{}, err
	}
	return p.put(ctx, job, s, key, m, replace)
}

// outputKey is where an output belongs. Some have to be asked for what they are.
func outputKey(job *tasks.Job, s tasks.Source, media *lazyMedia) (string, error) {
	ext := extension(s.Path, "")
	if ext == unknownExtension {
		m, err := media.get()
		if err != nil {
			return "", err
		}
		ext = extension(s.Path, m.ContentType)
	}
	return folder(job) + "/" + strconv.Itoa(s.N) + "." + ext, nil
}

func (p *Pipeline) put(ctx context.Context, job *tasks.Job, s tasks.Source, key string, m *magichour.Media, replace bool) (manifestFile, error) {
	if err := p.notMovedOn(ctx, job); err != nil {
		return manifestFile{}, err // an old handler must not write over what a newer project has brought
	}
	object, err := p.store.Put(ctx, key, m.Body, storage.PutOptions{
		Size: m.Size, ContentType: plausible(m.ContentType), FileName: strings.ReplaceAll(key, "/", "-"), Metadata: metadata(job, s.Path, m), Replace: replace,
	})
	if err == nil && object.Size == 0 {
		err = errors.New("the media host sent an empty file")
	}
	if err != nil {
		return manifestFile{}, err
	}
	copied := file(s, object)
	copied.OpenEnded = copied.OpenEnded || m.OpenEnded // a store may drop what it is told of an object
	return copied, nil
}

// lazyMedia opens a download when it is needed, and once: a file that is there already is not
// asked for.
type lazyMedia struct {
	open  func() (*magichour.Media, error)
	media *magichour.Media
}

func (l *lazyMedia) get() (media *magichour.Media, err error) {
	if l.media == nil {
		l.media, err = l.open()
	}
	return l.media, err
}

func (l *lazyMedia) close() {
	if l.media != nil {
		_ = l.media.Body.Close()
	}
}

func (p *Pipeline) open(ctx context.Context, n int, urls *freshest) (*magichour.Media, error) {
	link := urls.link(n)
	return p.api.Open(ctx, link, func(ctx context.Context) (_ magichour.Download, err error) {
		link, err = urls.other(ctx, n, link)
		return link, err
	})
}

// standing looks at what stands where a file belongs, and whether it may be replaced: what this
// job has written itself may, and everything if the caller said so.
func (p *Pipeline) standing(ctx context.Context, job *tasks.Job, key string) (object *storage.Object, replace bool, err error) {
	o, err := p.store.Head(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	own := o.Metadata[metaProject] == job.ProjectID || slices.Contains(job.Earlier, o.Metadata[metaProject])
	return &o, job.Options.Overwrite || o.Metadata[metaJob] == job.ID && own, nil
}

// Names in the metadata of objects, which says on the object itself whose copy it is.
const (
	metaJob       = "job"
	metaOperation = "operation"
	metaProject   = "project"
	metaCredits   = "credits"     // charged for the whole project
	metaSource    = "source"      // path of the URL at Magic Hour
	metaSize      = "source-size" // bytes that the media host announced
	metaOpenEnded = "open-ended"  // it announced nothing
)

func metadata(job *tasks.Job, sourcePath string, m *magichour.Media) map[string]string {
	meta := map[string]string{metaJob: job.ID, metaOperation: job.Operation, metaProject: job.ProjectID, metaSource: sourceName(sourcePath), metaCredits: strconv.Itoa(job.CreditsCharged)}
	if m.Size >= 0 {
		meta[metaSize] = strconv.FormatInt(m.Size, 10)
	}
	if m.OpenEnded {
		meta[metaOpenEnded] = "true"
	}
	return meta
}

// sourceName is the path of a source as metadata can hold it: all of that has 2 KB.
func sourceName(path string) string {
	const longest = 1024
	if len(path) <= longest {
		return path
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(path)))
}

// plausible drops a content type that is none: it must not stand between a file and its store.
func plausible(contentType string) string {
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		return ""
	}
	return contentType
}

// isCopyOf reports whether an object is a proved copy of this source: written for this project
// and this path, as long as the source said it is, and either still what was proved before, or known by the
// store to be what it was given. An object that was merely written may be damaged: that its proof failed, or
// that the worker died before, is nowhere on it.
func isCopyOf(o storage.Object, job *tasks.Job, s tasks.Source) bool {
	if o.Metadata[metaProject] != job.ProjectID || o.Metadata[metaSource] != sourceName(s.Path) || o.Size == 0 || o.Checksum == "" {
		return false
	}
	if size, known := o.Metadata[metaSize]; known && size != strconv.FormatInt(o.Size, 10) {
		return false
	}
	if s.Checksum == "" {
		return o.AsGiven
	}
	return s.Checksum == o.Checksum
}

func file(s tasks.Source, o storage.Object) manifestFile {
	return manifestFile{
		Output:    tasks.Output{N: s.N, Key: o.Key, URL: o.URL, Size: o.Size, Checksum: o.Checksum, ContentType: o.ContentType},
		Source:    s.Path,
		OpenEnded: o.Metadata[metaOpenEnded] != "",
	}
}
