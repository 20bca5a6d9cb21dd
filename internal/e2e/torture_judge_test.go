//go:build torture

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/hibiken/asynq"

	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

func (x *torture) openStore() storage.Store {
	x.t.Helper()
	store, err := storage.Open(x.t.Context(), "s3://media/out", storage.Options{PathStyle: true, AWS: []storage.AWSOption{
		config.WithBaseEndpoint(x.s3.Endpoint), config.WithRegion(x.s3.Region),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(x.s3.AccessKey, x.s3.SecretKey, "")),
	}})
	if err != nil {
		x.t.Fatal(err)
	}
	return store
}

// proved judges a DELETE at its moment: every file of the project must stand in the store, byte by
// byte, and in the manifest.
func (x *torture) proved(project string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, _ := x.fake.Project(project)
	id := jobOf(p.Name)
	text, err := x.read(ctx, id+"/manifest.json")
	if err != nil {
		return fmt.Errorf("deleted without a manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	outputs, err := x.fake.Outputs(project)
	if err != nil {
		return err
	}
	if len(outputs) == 0 || len(outputs) != len(m.Outputs) || m.ProjectID != project {
		return fmt.Errorf("the manifest lists %d files of %s, the project %s has %d", len(m.Outputs), m.ProjectID, project, len(outputs))
	}
	want := map[string]string{}
	for _, o := range outputs {
		want[o.Path] = o.SHA256
	}
	for _, o := range m.Outputs {
		body, err := x.read(ctx, id+"/"+path.Base(o.Key))
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(body)); got != want[o.Source] {
			return fmt.Errorf("%s differs from %s", o.Key, o.Source)
		}
	}
	return nil
}

// jobOf finds the job in the name of its project.
func jobOf(name string) string {
	id, _, _ := strings.Cut(name[strings.LastIndex(name, "[")+1:], "~")
	return id
}

func (x *torture) read(ctx context.Context, key string) (text []byte, err error) {
	body, err := x.store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return io.ReadAll(body)
}

// stop ends the workers as a deployment would.
func (x *torture) stop() {
	x.fake.ClearFaults()
	for _, s := range x.slots {
		s.log.signal(syscall.SIGCONT)
	}
	// What was frozen may still have something to say, and late tasks find their jobs ended.
	for deadline := time.Now().Add(3 * time.Minute); len(x.leftovers()) > 0 && time.Now().Before(deadline); {
		<-time.After(time.Second)
	}
	for _, s := range x.slots {
		s.log.signal(syscall.SIGTERM)
	}
	for _, s := range x.slots {
		if !s.log.ends(3 * time.Minute) {
			x.t.Error("a worker does not end")
		}
	}
}

// judge looks at what is left when all jobs have ended.
func (x *torture) judge() {
	owner := map[string]string{} // project: job
	bought, orphans := 0, 0
	for _, r := range x.requests {
		job, err := x.client.Job(x.t.Context(), r.ID)
		if err != nil {
			x.t.Errorf("%s: %v", r.ID, err)
			continue
		}
		if job.State != x.wanted(r.ID) {
			x.t.Errorf("%s is %s, want %s: %+v\n%s", r.ID, job.State, x.wanted(r.ID), job.Error, x.story(r.ID))
		}
		for _, project := range append(append([]string{job.ProjectID}, job.Orphans...), job.Earlier...) {
			if before, taken := owner[project]; taken {
				x.t.Errorf("project %q belongs to %s and to %s", project, before, r.ID)
			}
			owner[project] = r.ID
			bought++
		}
		if spare := len(job.Orphans) + len(job.Earlier); spare > x.boughtAgain[r.ID] {
			x.t.Errorf("%s has %d projects that it does not follow, and was bought again %d times by hand: %v %v", r.ID, spare, x.boughtAgain[r.ID], job.Orphans, job.Earlier)
		}
		orphans += len(job.Orphans) + len(job.Earlier)
	}
	projects := x.fake.Projects()
	for _, p := range projects {
		if owner[p.ID] == "" {
			x.t.Errorf("project %s (%s) was charged, and belongs to no job", p.ID, p.Name)
		}
		if done := x.state[owner[p.ID]] == tasks.Done; done && !p.Deleted {
			x.t.Errorf("project %s of the done job %s was not deleted", p.ID, owner[p.ID])
		}
	}
	if len(projects) != bought {
		x.t.Errorf("%d projects were charged; the jobs have %d, %d of them orphans, after %d were bought again by hand", len(projects), bought, orphans, x.count.recreated)
	}
	for _, e := range x.fake.Ledger().Events {
		if e.Call == magichourtest.Violation {
			x.t.Errorf("violation: project %s: %s", e.Project, e.Detail)
		}
	}
	for _, left := range x.leftovers() {
		x.t.Errorf("left over: %s", left)
	}
	x.checkSecrets()
}

// leftovers lists what should not be there once all jobs have ended.
func (x *torture) leftovers() (left []string) {
	for _, stage := range tasks.Stages() {
		for name, list := range map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			"pending": x.inspector.ListPendingTasks, "scheduled": x.inspector.ListScheduledTasks,
			"retry": x.inspector.ListRetryTasks, "active": x.inspector.ListActiveTasks,
		} {
			infos, err := list(stage.Queue())
			if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
				left = append(left, err.Error())
			}
			for _, info := range infos {
				left = append(left, fmt.Sprintf("%s task %s, retried %d, next at %s: %s", name, info.ID, info.Retried, info.NextProcessAt, info.LastErr))
			}
		}
	}
	deadlines, err := x.rdb.ZRange(context.Background(), "hourglass:{fleet}:deadlines", 0, -1).Result()
	if err != nil {
		left = append(left, err.Error())
	}
	for _, id := range deadlines {
		left = append(left, "deadline of "+id)
	}
	for _, key := range uploads(x.t, x.s3) {
		left = append(left, "upload of "+key)
	}
	return append(append(left, x.archived()...), x.temporary()...)
}

// archived lists the jobs that have not exactly the archived task that they should: one if the job
// failed, none else.
func (x *torture) archived() (wrong []string) {
	found := map[string]int{}
	for _, stage := range tasks.Stages() {
		infos, _ := x.inspector.ListArchivedTasks(stage.Queue(), asynq.PageSize(1000)) // the other lists say what is wrong
		for _, info := range infos {
			id, _, _ := strings.Cut(info.ID, ":")
			found[id]++
		}
	}
	for _, r := range x.requests {
		want := 0
		if x.state[r.ID] == tasks.Failed {
			want = 1
		}
		if found[r.ID] != want {
			wrong = append(wrong, fmt.Sprintf("%d archived tasks of %s, which is %s", found[r.ID], r.ID, x.state[r.ID]))
		}
	}
	return wrong
}

// temporary lists the files that the S3 server keeps of unfinished objects.
func (x *torture) temporary() (files []string) {
	_ = filepath.WalkDir(filepath.Join(x.s3.Dir, "media", ".sgwtmp"), func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, "file "+filepath.Base(name))
		}
		return nil
	})
	return files
}

// reportLate says what did not end in time.
func (x *torture) reportLate() {
	for _, r := range x.requests[:x.submitted] {
		if x.state[r.ID].Ended() {
			continue
		}
		job, err := x.client.Job(x.t.Context(), r.ID)
		if err != nil {
			x.t.Errorf("%s: %v", r.ID, err)
			continue
		}
		x.t.Errorf("not in time: %s is %s since %s, epoch %d, polls %d, hold %+v, error %+v\n%s", r.ID, job.State, job.StateAt, job.Epoch, job.Polls, job.Hold, job.Error, x.story(r.ID))
	}
	for _, left := range x.leftovers() {
		x.t.Log(left)
	}
	if x.submitted < len(x.requests) {
		x.t.Errorf("only %d of %d jobs were submitted in time", x.submitted, len(x.requests))
	}
}

// story is what all workers have written about a job.
func (x *torture) story(id string) string {
	var lines []string
	for _, l := range x.logs {
		for line := range strings.Lines(l.text()) {
			if strings.Contains(line, `"job":"`+id+`"`) {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(lines) // they begin with the time
	return strings.Join(lines, "\n")
}
