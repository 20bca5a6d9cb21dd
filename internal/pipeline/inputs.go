package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/operations"
	"github.com/seed-290c2414/hourglass/internal/records"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// uploadInputs makes sure that every object which the request names as an input is at Magic Hour, before
// anything is bought. What is uploaded is saved at once, so whoever goes on after this handler does not
// upload it again. It reports false if the job has moved on meanwhile: an upload takes its time.
func (p *Pipeline) uploadInputs(ctx context.Context, r *record) (stays bool, err error) {
	wanted := objectsOf(r.job)
	for _, a := range wanted { // all of them before the first byte leaves
		if bucket, _, _ := a.Object(); !p.inputs.Allows(bucket) {
			return true, stop(codeInputRefused, "if callers may send what is in it to Magic Hour, name the bucket in HOURGLASS_INPUT_BUCKETS of every worker, then enqueue retry "+r.job.ID+". Nothing was charged", "%s: bucket %s is not one that inputs may be read from", a.Path, bucket)
		}
	}
	began := false
	for _, a := range wanted {
		in, there := uploaded(r.job, a, p.now())
		if there {
			if there, err = p.isOfAccount(a, in); err != nil {
				return true, err
			}
		}
		if there {
			continue
		}
		began = true
		if stays, err := p.uploadInput(ctx, r, a); !stays || err != nil {
			return stays, err
		}
	}
	if !began {
		return true, nil
	}
	hold, err := p.holds.of(ctx, tasks.StageCreate) // the look that was taken at the beginning is old by now
	if err == nil && hold != nil {
		err = p.heldBack(hold)
	}
	return true, err
}

// objectsOf lists the objects that a request names, each once for every type of file that it is to be.
func objectsOf(job *tasks.Job) []operations.Asset {
	op, _ := operations.Lookup(job.Operation) // one that is not known has no assets, and is refused later
	var wanted []operations.Asset
	for _, a := range op.AssetsOf(job.Body) {
		twin := func(b operations.Asset) bool { return a.Ref == b.Ref && a.Type == b.Type }
		if _, _, isObject := a.Object(); isObject && !slices.ContainsFunc(wanted, twin) {
			wanted = append(wanted, a)
		}
	}
	return wanted
}

// uploaded finds the file at Magic Hour that stands for an object, if it lives long enough to be used.
func uploaded(job *tasks.Job, a operations.Asset, now time.Time) (tasks.Input, bool) {
	for _, in := range job.Inputs {
		if in.Ref == a.Ref && in.Type == string(a.Type) && now.Sub(in.UploadedAt) < magichour.UploadLife {
			return in, true
		}
	}
	return tasks.Input{}, false
}

// isOfAccount reports whether a file was uploaded with the key and at the API of today. Those of another
// account are of no use.
func (p *Pipeline) isOfAccount(a operations.Asset, in tasks.Input) (bool, error) {
	bucket, key, _ := a.Object()
	content, err := p.contentID(magichour.File{Type: a.Type, Extension: a.Extension, Size: in.Size}, bucket, key, in.ETag)
	return content == in.Content, err
}

// uploadInput brings one object to Magic Hour, unless the fleet has done so before, and saves its path.
func (p *Pipeline) uploadInput(ctx context.Context, r *record, a operations.Asset) (stays bool, err error) {
	object, err := p.headInput(ctx, a)
	if err != nil {
		return true, err
	}
	file := magichour.File{Type: a.Type, Extension: a.Extension, Size: object.Size}
	content, err := p.contentID(file, object.Bucket, object.Key, object.ETag)
	if err != nil {
		return true, err
	}
	up, err := p.shared(ctx, object, file, content)
	if err != nil {
		return true, fmt.Errorf("%s: %w", a.Path, err)
	}
	return p.keepInput(ctx, r, tasks.Input{Ref: a.Ref, Type: string(a.Type), ETag: object.ETag, Size: object.Size, Content: content, FilePath: up.FilePath, UploadedAt: up.At})
}

// uploadTurn is for how long nobody else of the fleet begins to upload what somebody uploads.
const uploadTurn = 2 * time.Minute

// shared returns the upload of an object that all jobs share, and makes it if there is none. An object without
// an ETag is nobody's but this job's: whether it is still the same can't be told.
func (p *Pipeline) shared(ctx context.Context, object storage.Input, file magichour.File, content string) (records.Upload, error) {
	if object.ETag == "" {
		return p.send(ctx, object, file)
	}
	kept, found, err := p.records.KeptUpload(ctx, content)
	if err != nil || found && p.now().Sub(kept.At) < magichour.UploadLife {
		return kept, err
	}
	turn := "uploading:" + content
	mine, err := p.records.Turn(ctx, turn, uploadTurn)
	if err != nil {
		return kept, err
	}
	if !mine {
		return kept, waitForUploads("another job uploads it just now")
	}
	up, err := p.send(ctx, object, file)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	if err == nil {
		up, _ = p.records.KeepUpload(after, content, up, magichour.UploadLife) // or another job uploads it again
	}
	_ = p.records.GiveTurn(after, turn) // it ends by itself
	return up, err
}

// waitForUploads sends a task back: to wait would take a handler from the jobs that can go on.
func waitForUploads(why string) error {
	return &failure{verdict{class: again, code: codeTrouble, message: why, after: 5 * time.Second}}
}

// contentID names what an object holds. Its checksum would not do: who writes an object may choose what it
// collides with, and so get the file of somebody else. Hence an object is the same only at its own place.
func (p *Pipeline) contentID(file magichour.File, bucket, key, etag string) (string, error) {
	text, err := json.Marshal([]any{"s3", bucket, key, etag, file.Size})
	if err != nil {
		return "", err
	}
	return p.api.ContentID(file, string(text))
}

func (p *Pipeline) headInput(ctx context.Context, a operations.Asset) (storage.Input, error) {
	bucket, key, _ := a.Object()
	object, err := p.inputs.Head(ctx, bucket, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return object, stop(codeInputMissing, "put the object there, then enqueue retry; or submit a better request under a new id. Nothing was charged", "%s: there is no such object in bucket %s", a.Path, bucket)
	case err != nil:
		return object, fmt.Errorf("%s: %w", a.Path, err)
	case object.Size < 1:
		return object, stop(codeInputRefused, "submit a better request under a new id. Nothing was charged", "%s: the object in bucket %s is empty", a.Path, bucket)
	case object.Size > magichour.LargestUpload:
		return object, stop(codeInputRefused, "give a smaller file, or a URL that Magic Hour can read by itself, under a new id. Nothing was charged", "%s: the object in bucket %s has %d bytes, and one upload carries 5 GiB at most", a.Path, bucket, object.Size)
	}
	return object, nil
}

// errStopping is why an upload is called off: it is no purchase, for which a stopping worker waits longer.
var errStopping = errors.New("the worker stops")

// send streams an object to Magic Hour. It leaves half of the handlers to jobs that have nothing to upload.
func (p *Pipeline) send(ctx context.Context, object storage.Input, file magichour.File) (records.Upload, error) {
	select {
	case p.uploads <- struct{}{}:
		defer func() { <-p.uploads }()
	default:
		return records.Upload{}, waitForUploads("as many inputs are being uploaded as may be at a time")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.stopping, func() { cancel(errStopping) })() //nolint:contextcheck // it ends with the worker, not with the task
	up := records.Upload{At: p.now().UTC()}                               // before the upload: that is when its time begins at the earliest
	body, err := p.inputs.Open(ctx, object)
	if err == nil {
		p.spend(ctx)
		up.FilePath, err = p.api.Upload(ctx, file, body)
	}
	if err != nil && errors.Is(context.Cause(ctx), errStopping) {
		return up, &failure{verdict{class: again, code: codeTrouble, message: "the worker stopped in the middle of an upload", after: time.Second}}
	}
	return up, err
}

// keepInput saves the path of an upload, unless the job has moved on. It must not be forgotten: the next
// upload may take as long.
func (p *Pipeline) keepInput(ctx context.Context, r *record, in tasks.Input) (stays bool, err error) {
	state, epoch := r.job.State, r.job.Epoch
	err = p.patiently(ctx, func(ctx context.Context) error {
		_, err := p.update(ctx, r, func(job *tasks.Job) outcome {
			if stays = job.State == state && job.Epoch == epoch && job.Mark() == nil; stays {
				job.Inputs = append(slices.DeleteFunc(job.Inputs, func(old tasks.Input) bool { return old.Ref == in.Ref && old.Type == in.Type }), in)
			}
			return outcome{}
		})
		return err
	})
	return stays, err
}

// dropInputs lets the fleet forget uploads whose paths were in a request that the API did not take: perhaps it
// does not know them any more.
func (p *Pipeline) dropInputs(ctx context.Context, job *tasks.Job) {
	for _, in := range job.Inputs {
		_ = p.records.DropUpload(ctx, in.Content, in.FilePath) // it expires by itself
	}
}
