package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

type (
	manifest     tasks.Manifest
	manifestFile = tasks.ManifestFile
)

const longestManifest = 1 << 20 // bytes

// folder is where the files of a job are, below the store's own prefix.
func folder(job *tasks.Job) string { return path.Join(job.Options.KeyPrefix, job.ID) }

func manifestKey(job *tasks.Job) string { return folder(job) + "/manifest.json" }

func newManifest(job *tasks.Job, files []manifestFile) manifest {
	return manifest{
		V: tasks.Version, JobID: job.ID, Operation: job.Operation, Kind: job.Kind,
		ProjectID: job.ProjectID, CreditsCharged: job.CreditsCharged, CreatedAt: job.CreatedAt,
		Tenant: job.Options.Tenant, Metadata: job.Options.Metadata, Outputs: files,
	}
}

func (m manifest) outputs() []tasks.Output {
	outputs := make([]tasks.Output, 0, len(m.Outputs))
	for _, f := range m.Outputs {
		outputs = append(outputs, f.Output)
	}
	return outputs
}

// sources returns which remote file is which output, with the checksum of its proved copy.
func (m manifest) sources() []tasks.Source {
	sources := make([]tasks.Source, 0, len(m.Outputs))
	for _, f := range m.Outputs {
		sources = append(sources, tasks.Source{N: f.N, Path: f.Source, Checksum: f.Checksum, OpenEnded: f.OpenEnded})
	}
	return sources
}

func (p *Pipeline) putManifest(ctx context.Context, job *tasks.Job, m manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	_, replace, err := p.standing(ctx, job, manifestKey(job))
	if err != nil {
		return err
	}
	if err := p.notMovedOn(ctx, job); err != nil {
		return err
	}
	_, err = p.store.Put(ctx, manifestKey(job), bytes.NewReader(text), storage.PutOptions{
		Size: int64(len(text)), ContentType: "application/json", Metadata: metadata(job, "", &magichour.Media{Size: int64(len(text))}), Replace: replace,
	})
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

// errUnproved says that the store does not hold what it should: the remote must not be deleted.
var errUnproved = errors.New("the copy is not proved")

// proveManifest reads the manifest of a job and asks the store for every object in it. The error
// is errUnproved if anything is missing or differs.
func (p *Pipeline) proveManifest(ctx context.Context, job *tasks.Job) (manifest, error) {
	m, err := p.readManifest(ctx, job)
	if err != nil {
		return m, err
	}
	if m.JobID != job.ID || m.ProjectID != job.ProjectID || len(m.Outputs) == 0 {
		return m, fmt.Errorf("%w: the manifest is of another job or project, or empty", errUnproved)
	}
	for _, f := range m.Outputs {
		o, err := p.store.Head(ctx, folder(job)+"/"+path.Base(f.Key))
		if errors.Is(err, fs.ErrNotExist) {
			return m, fmt.Errorf("%w: %s is missing", errUnproved, f.Key)
		}
		if err != nil {
			return m, err
		}
		if f.Checksum == "" || o.Checksum != f.Checksum || o.Size != f.Size || o.Key != f.Key {
			return m, fmt.Errorf("%w: %s is not what was copied", errUnproved, f.Key)
		}
	}
	return m, nil
}

func (p *Pipeline) readManifest(ctx context.Context, job *tasks.Job) (manifest, error) {
	var m manifest
	body, err := p.store.Open(ctx, manifestKey(job))
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%w: there is no manifest", errUnproved)
	}
	if err != nil {
		return m, err
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, longestManifest))
	if err != nil {
		return m, fmt.Errorf("read the manifest: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("%w: the manifest can't be read: %w", errUnproved, err)
	}
	return m, nil
}
