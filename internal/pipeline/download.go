package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strconv"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// download copies every output of a render into the store, and writes the manifest last: the
// mark of a complete set. What is there already and proved is not copied again.
func (p *Pipeline) download(ctx context.Context, job *tasks.Job) (decision, error) {
	project, err := p.api.Project(ctx, operations.Kind(job.Kind), job.ProjectID)
	if gone(project, err) {
		return p.copiedBefore(ctx, job)
	}
	if err != nil {
		return nil, err
	}
	if project.Status != magichour.StatusComplete || len(project.Downloads) < wanted(job) {
		return nil, fmt.Errorf("project %s was complete, and now it is %q with %d files", job.ProjectID, project.Status, len(project.Downloads))
	}
	sources := job.Sources
	links, same := match(sources, project.Downloads)
	if !same {
		// The set has changed since it was pinned: it is copied anew, whole.
		sources = pin(project.Downloads)
		if links, same = match(sources, project.Downloads); !same {
			return nil, fmt.Errorf("project %s has a file without a path", job.ProjectID)
		}
	}
	copied, err := p.copyAll(ctx, job, sources, links)
	if err != nil {
		return nil, err
	}
	m := newManifest(job, project.CreditsCharged, sources, copied)
	if err := p.putManifest(ctx, job, m); err != nil {
		return nil, err
	}
	return func(job *tasks.Job) outcome { return p.stored(job, m) }, nil
}

// stored decides once all copies are proved: from here on the caller can use the files.
func (p *Pipeline) stored(job *tasks.Job, m manifest) outcome {
	at := p.now().UTC()
	job.StoredAt = &at
	job.CreditsCharged = m.CreditsCharged
	job.Outputs, job.Sources = m.outputs(), m.sources()
	job.State = tasks.Cleaning
	return outcome{}
}

// copiedBefore decides for a project that is gone while its files were being copied: the job is
// done if a complete set stands in the store, and has failed otherwise.
func (p *Pipeline) copiedBefore(ctx context.Context, job *tasks.Job) (decision, error) {
	m, err := p.proveManifest(ctx, job)
	switch {
	case err == nil:
		return func(job *tasks.Job) outcome {
			p.stored(job, m)
			return finish(job, tasks.RemoteDeleted, "it was gone before the cleanup")
		}, nil
	case !errors.Is(err, errUnproved):
		return nil, err
	case job.ProjectAt != nil && p.now().Sub(*job.ProjectAt) < settling:
		return nil, fmt.Errorf("project %s is not found just now", job.ProjectID)
	}
	v := goneVerdict(job)
	return nil, stop(v.code, v.hint, "%s", v.message)
}

func (p *Pipeline) copyAll(ctx context.Context, job *tasks.Job, sources []tasks.Source, links map[int]magichour.Download) ([]tasks.Output, error) {
	outputs := make([]tasks.Output, 0, len(sources))
	for _, s := range sources {
		out, err := p.copy(ctx, job, s, links[s.N])
		if expired(err) {
			// The URL has expired since it was asked for: ask once more.
			if links, err = p.freshLinks(ctx, job, sources); err == nil {
				out, err = p.copy(ctx, job, s, links[s.N])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("copy output %d: %w", s.N, err)
		}
		outputs = append(outputs, out)
	}
	return outputs, nil
}

// errExpired says that the media host refuses a URL.
var errExpired = errors.New("the media host refuses the URL")

func expired(err error) bool { return errors.Is(err, errExpired) }

func (p *Pipeline) freshLinks(ctx context.Context, job *tasks.Job, sources []tasks.Source) (map[int]magichour.Download, error) {
	project, err := p.api.Project(ctx, operations.Kind(job.Kind), job.ProjectID)
	if err != nil {
		return nil, err
	}
	links, same := match(sources, project.Downloads)
	if !same {
		return nil, errors.New("the files of the project have changed while they were copied")
	}
	return links, nil
}

// copy brings one output into the store and returns it as the store confirmed it.
func (p *Pipeline) copy(ctx context.Context, job *tasks.Job, s tasks.Source, d magichour.Download) (tasks.Output, error) {
	var media *magichour.Media
	ext := extension(s.Path, "")
	if ext == "bin" {
		var err error
		if media, err = p.open(ctx, d); err != nil {
			return tasks.Output{}, err
		}
		defer func() { _ = media.Body.Close() }()
		ext = extension(s.Path, media.ContentType)
	}
	key := job.ID + "/" + strconv.Itoa(s.N) + "." + ext
	standing, replace, err := p.standing(ctx, job, key)
	if err != nil {
		return tasks.Output{}, err
	}
	if standing != nil && isCopyOf(*standing, job, s) {
		return output(s.N, *standing), nil
	}
	if media == nil {
		if media, err = p.open(ctx, d); err != nil {
			return tasks.Output{}, err
		}
		defer func() { _ = media.Body.Close() }()
	}
	object, err := p.store.Put(ctx, key, media.Body, storage.PutOptions{
		Size: media.Size, ContentType: media.ContentType, Metadata: metadata(job, s.Path, media.Size), Replace: replace,
	})
	if err != nil {
		return tasks.Output{}, err
	}
	return output(s.N, object), nil
}

func (p *Pipeline) open(ctx context.Context, d magichour.Download) (*magichour.Media, error) {
	media, err := p.api.Open(ctx, d)
	var answer *magichour.Error
	if errors.As(err, &answer) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone}, answer.Status) {
		return nil, fmt.Errorf("%w: %s", errExpired, answer.Error())
	}
	return media, err
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
	return &o, job.Options.Overwrite || o.Metadata["job"] == job.ID && o.Metadata["project"] == job.ProjectID, nil
}

// metadata says on the object itself whose copy it is.
func metadata(job *tasks.Job, sourcePath string, size int64) map[string]string {
	m := map[string]string{"job": job.ID, "operation": job.Operation, "project": job.ProjectID, "source": sourcePath}
	if size >= 0 {
		m["source-size"] = strconv.FormatInt(size, 10)
	}
	return m
}

// isCopyOf reports whether an object is a proved copy of this source: written for this project
// and this path, as long as the source said it is, and, if it was proved before, still the same.
func isCopyOf(o storage.Object, job *tasks.Job, s tasks.Source) bool {
	if o.Metadata["project"] != job.ProjectID || o.Metadata["source"] != s.Path || o.Checksum == "" {
		return false
	}
	if size, known := o.Metadata["source-size"]; known && size != strconv.FormatInt(o.Size, 10) {
		return false
	}
	return s.Checksum == "" || s.Checksum == o.Checksum
}

func output(n int, o storage.Object) tasks.Output {
	return tasks.Output{N: n, Key: o.Key, URL: o.URL, Size: o.Size, Checksum: o.Checksum, ContentType: o.ContentType}
}
