package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/tasks"
)

// download copies every output of a render into the store, and writes the manifest last: the
// mark of a complete set. What is there already and proved is not copied again.
func (p *Pipeline) download(ctx context.Context, job *tasks.Job) (decision, error) {
	if err := p.afford(ctx, tasks.StageDownload, job, 1); err != nil {
		return nil, err
	}
	project, err := p.api.Project(ctx, operations.Kind(job.Kind), job.ProjectID)
	if gone(project, err) {
		return p.withoutProject(ctx, job, lookAgain)
	}
	if err != nil {
		return nil, err
	}
	if project.Status != magichour.StatusComplete || len(project.Downloads) < wanted(job) {
		return nil, fmt.Errorf("project %s was complete, and now it is %q with %d files", job.ProjectID, project.Status, len(project.Downloads))
	}
	if len(pin(project.Downloads)) != len(project.Downloads) {
		return nil, fmt.Errorf("project %s has a file without a URL", job.ProjectID)
	}
	sources := job.Sources
	links, same := match(sources, project.Downloads)
	if !same {
		// The set has changed since it was pinned: it is copied anew, whole.
		sources = pin(project.Downloads)
		if links, same = match(sources, project.Downloads); !same {
			return nil, stop(codeAmbiguous, "fetch the files by hand, from the library at Magic Hour", "project %s has files that can't be told apart by the paths of their URLs", job.ProjectID)
		}
	}
	told := *job
	told.CreditsCharged = int(project.CreditsCharged) // what objects and manifest say; the record learns it last
	copied, err := p.copyAll(ctx, &told, sources, links)
	if err != nil {
		return nil, err
	}
	m := newManifest(&told, copied)
	if err := p.putManifest(ctx, &told, m); err != nil {
		return nil, err
	}
	p.tidyJob(ctx, job)
	return func(job *tasks.Job) outcome { return p.stored(job, m) }, nil
}

// stored decides once all copies are proved: from here on the caller can use the files.
func (p *Pipeline) stored(job *tasks.Job, m manifest) outcome {
	at := p.now().UTC()
	job.StoredAt, job.MissingSince = &at, nil
	job.CreditsCharged = m.CreditsCharged
	job.Outputs, job.Sources = m.outputs(), m.sources()
	job.State = tasks.Cleaning
	return outcome{}
}

func (p *Pipeline) copyAll(ctx context.Context, job *tasks.Job, sources []tasks.Source, links map[int]magichour.Download) ([]manifestFile, error) {
	all := &freshest{links: links, renew: func(ctx context.Context) (map[int]magichour.Download, error) { return p.freshLinks(ctx, job, sources) }}
	files, errs := make([]manifestFile, len(sources)), make([]error, len(sources))
	each(len(sources), outputsAtOnce, func(i int) {
		if files[i], errs[i] = p.copy(ctx, job, sources[i], all); errs[i] != nil {
			errs[i] = fmt.Errorf("copy output %d: %w", sources[i].N, errs[i])
		}
	})
	for _, err := range errs {
		if err != nil {
			return nil, err // the others are copied, and will not be again
		}
	}
	return files, nil
}

// outputsAtOnce is how many files of one job are copied at the same time. Most are small, and take longer
// to ask for than to send.
const outputsAtOnce = 4

// each does something for every number below n, for so many at the same time. A panic comes out here, as
// if all had been done one after the other.
func each(n, atOnce int, do func(i int)) {
	var broken atomic.Value
	var doing sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		doing.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					broken.CompareAndSwap(nil, recovered{r, debug.Stack()})
				}
				<-slots
			}()
			if broken.Load() == nil {
				do(i)
			}
		})
	}
	doing.Wait()
	if r, ok := broken.Load().(recovered); ok {
		panic(r)
	}
}

// recovered is a panic that comes out elsewhere, with the stack that says where it came from.
type recovered struct {
	value any
	stack []byte
}

// String implements fmt.Stringer.
func (r recovered) String() string { return fmt.Sprintf("%v\n%s", r.value, r.stack) }

// freshest are the URLs of a job's outputs. When one has expired all have: they are asked for once.
type freshest struct {
	renew func(context.Context) (map[int]magichour.Download, error)

	mu    sync.Mutex
	links map[int]magichour.Download
}

func (f *freshest) link(n int) magichour.Download {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.links[n]
}

// other returns a URL of an output that is not the one that was refused.
func (f *freshest) other(ctx context.Context, n int, refused magichour.Download) (magichour.Download, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.links[n] == refused {
		links, err := f.renew(ctx)
		if err != nil {
			return magichour.Download{}, err
		}
		f.links = links
	}
	return f.links[n], nil
}

func (p *Pipeline) freshLinks(ctx context.Context, job *tasks.Job, sources []tasks.Source) (map[int]magichour.Download, error) {
	p.spend(ctx)
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
