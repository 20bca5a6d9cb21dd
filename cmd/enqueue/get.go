package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"sync"

	"github.com/urfave/cli/v3"

	"github.com/seed-290c2414/hourglass/internal/settings"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

func getCommand(stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:      "get",
		Usage:     "fetch the files of jobs from the store, and print where they are",
		ArgsUsage: "ID...",
		Description: `   enqueue get order-4711 --output films

makes films/order-4711/1.mp4: the files of a job come into a folder of its name, here or below --output.

It costs nothing, and Magic Hour is not asked: it reads s3:// and file:// as the worker has written them, with the same AWS_*
variables. Each file is checked against the size and the checksum of the job's record before it gets its name. One that is there
already with the same bytes is not fetched again; with other bytes it is left alone, unless --force replaces it.

When the record is gone, the list of files still stands in the store:

   enqueue get --manifest s3://bucket/prefix/order-4711/manifest.json

Exits 3 if a job has no files, or not yet: enqueue wait waits for them.`,
		ShellComplete: complete(nil, jobIDs(tasks.Cleaning, tasks.Done)),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: ".", Usage: "the `FOLDER` below which the folders of the jobs are made"},
			&cli.BoolFlag{Name: "force", Usage: "replace files that are there with other bytes"},
			&cli.StringFlag{Name: "manifest", Usage: "fetch what the manifest.json at this `URL` in the store names, and ask no Redis"},
			&cli.BoolFlag{Name: settings.FlagName(varPathStyle), Usage: "bucket in the path, for S3-compatible servers", Sources: settings.From(varPathStyle)},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			g := &getter{
				files:  storage.NewFiles(storage.Options{PathStyle: c.Bool(settings.FlagName(varPathStyle))}),
				folder: c.String("output"), force: c.Bool("force"), asJSON: c.Bool("json"), stdout: stdout,
			}
			wanted, err := g.list(ctx, c)
			if len(wanted) == 0 {
				return err
			}
			g.show = newBytesShown(stderr, g.asJSON)
			defer g.show.screen.close()
			return errors.Join(err, g.all(ctx, wanted))
		},
	}
}

// A getter fetches files.
type getter struct {
	files  *storage.Files
	folder string
	force  bool
	asJSON bool
	stdout io.Writer
	show   *bytesShown
}

// A wantedFile is a file of a job.
type wantedFile struct {
	Job string `json:"id"`
	tasks.Output

	Path string `json:"path"` // on this machine
}

// list says what to fetch. One job without files does not keep it from the others.
func (g *getter) list(ctx context.Context, c *cli.Command) (wanted []wantedFile, err error) {
	if url := c.String("manifest"); url != "" {
		if c.Args().Present() {
			return nil, settings.Usage("--manifest: stands alone, without an ID")
		}
		return g.manifest(ctx, url)
	}
	err = eachID(ctx, c, func(client *tasks.Client, id string) error {
		job, err := client.Job(ctx, id)
		switch {
		case errors.Is(err, tasks.ErrNotFound):
			return fmt.Errorf("%w; if its record is gone, its files are named by <storage url>/%s/manifest.json: see enqueue get --manifest", err, id)
		case err != nil:
			return err
		case job.StoredAt == nil:
			return notStored(job)
		}
		for _, o := range job.Outputs {
			wanted = append(wanted, wantedFile{Job: id, Output: o})
		}
		return nil
	})
	return wanted, err
}

func notStored(job *tasks.Job) error {
	if job.State.Settled() {
		return fmt.Errorf("%w: %s is %s and has no files; see enqueue status %s", errJobFailed, job.ID, job.State, job.ID)
	}
	return fmt.Errorf("%w: %s is %s, its files are not stored yet; see enqueue wait %s", errJobFailed, job.ID, job.State, job.ID)
}

// largestManifest is more than any job's.
const largestManifest = 4 << 20

func (g *getter) manifest(ctx context.Context, url string) ([]wantedFile, error) {
	file, err := g.files.Open(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("--manifest: %w", err)
	}
	defer func() { _ = file.Close() }()
	var m tasks.Manifest
	if err := json.NewDecoder(io.LimitReader(file, largestManifest)).Decode(&m); err != nil {
		return nil, fmt.Errorf("--manifest %s: is no manifest: %w", url, err)
	}
	if err := tasks.CheckID(m.JobID); err != nil {
		return nil, fmt.Errorf("--manifest %s: %w", url, err)
	}
	if len(m.Outputs) == 0 {
		return nil, fmt.Errorf("%w: --manifest %s: names no files", errJobFailed, url)
	}
	var wanted []wantedFile
	for _, o := range m.Outputs {
		wanted = append(wanted, wantedFile{Job: m.JobID, Output: o.Output})
	}
	return wanted, nil
}

// fetchedAtOnce is how many files are on their way at a time.
const fetchedAtOnce = 4

// all fetches files, and prints each as it is there. One that can't be fetched does not keep it from the others.
func (g *getter) all(ctx context.Context, wanted []wantedFile) error {
	left := make(chan wantedFile)
	var mu sync.Mutex
	var errs []error
	var fetching sync.WaitGroup
	for range min(fetchedAtOnce, len(wanted)) {
		fetching.Go(func() {
			for w := range left {
				err := g.one(ctx, &w)
				mu.Lock()
				if err == nil {
					err = g.print(w)
				}
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	for _, w := range wanted {
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		left <- w
	}
	close(left)
	fetching.Wait()
	return errors.Join(errs...)
}

func (g *getter) print(w wantedFile) error {
	out := g.show.screen.to(g.stdout)
	if g.asJSON {
		return json.NewEncoder(out).Encode(w)
	}
	_, err := fmt.Fprintln(out, w.Path)
	return err
}

// one fetches a file to its place.
func (g *getter) one(ctx context.Context, w *wantedFile) error {
	name := path.Base(w.Key)
	if !filepath.IsLocal(name) || name == "." {
		return fmt.Errorf("%s: the record names no file: %q", w.Job, w.Key)
	}
	w.Path = filepath.Join(g.folder, w.Job, name)
	here, err := standsAt(w.Path, w.Output)
	switch {
	case err != nil:
		return err
	case here == same:
		return nil
	case here == other && !g.force:
		return fmt.Errorf("%s: is there already, with other bytes than the job's: remove it, choose another --output, or give --force", w.Path)
	}
	if err := g.fetch(ctx, *w); err != nil {
		return fmt.Errorf("get %s of %s: %w", name, w.Job, err)
	}
	return nil
}
