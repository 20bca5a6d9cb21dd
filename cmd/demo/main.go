// Command demo runs a job of each kind from one end to the other, in one process and without an
// account: an embedded Redis, a fake Magic Hour API, and a local directory as the store.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"log/slog"

	"github.com/alicebob/miniredis/v2"
	"github.com/lmittmann/tint"
	"github.com/redis/go-redis/v9"

	"github.com/seed-290c2414/hourglass/internal/magichour"
	"github.com/seed-290c2414/hourglass/internal/magichour/magichourtest"
	"github.com/seed-290c2414/hourglass/internal/pipeline"
	"github.com/seed-290c2414/hourglass/internal/storage"
	"github.com/seed-290c2414/hourglass/tasks"
)

// timeScale makes the published render times 25 times shorter.
const timeScale = 0.04

// samples are what the demo submits.
var samples = []tasks.Request{
	{Operation: "text-to-video", Body: []byte(`{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}`)},
	{Operation: "ai-image-generator", Body: []byte(`{"image_count":4,"style":{"prompt":"a tin robot"}}`)},
	{Operation: "ai-voice-generator", Body: []byte(`{"style":{"prompt":"Good evening.","voice_name":"Morgan Freeman"}}`)},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, "media", os.Stdout, os.Stderr); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// run takes the samples all the way and prints what became of them. Its error says that one of
// them did not end as it should.
func run(ctx context.Context, dir string, stdout, stderr io.Writer) error {
	server, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("start the embedded Redis: %w", err)
	}
	defer server.Close()
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = rdb.Close() }()
	api := magichourtest.New(magichourtest.Options{TimeScale: timeScale, Seed: uint64(time.Now().UnixNano())})
	if err := api.Start(ctx); err != nil {
		return fmt.Errorf("start the fake API: %w", err)
	}
	defer api.Close()
	servers, err := work(ctx, api.URL(), "file://./"+dir, rdb, stderr)
	if err != nil {
		return err
	}
	defer servers.Shutdown()
	jobs, err := submit(ctx, tasks.NewClient(rdb))
	if err != nil {
		return err
	}
	report(stdout, jobs, api.Totals())
	for _, job := range jobs {
		if job.State != tasks.Done {
			return errors.New("not every job is done")
		}
	}
	return nil
}

// work starts a worker of all stages.
func work(ctx context.Context, apiURL, storeURL string, rdb *redis.Client, stderr io.Writer) (*pipeline.Servers, error) {
	client, err := magichour.New(apiURL, func() (string, error) { return "demo", nil })
	if err != nil {
		return nil, err
	}
	store, err := storage.Open(ctx, storeURL, storage.Options{})
	if err != nil {
		return nil, err
	}
	log := slog.New(tint.NewTextHandler(stderr, &tint.Options{TimeFormat: time.TimeOnly, NoColor: true}))
	p := pipeline.New(client, store, rdb, log, pipeline.Settings{
		PollInterval: time.Second, RecordTTL: time.Hour, TaskRetention: time.Hour, GiveUp: time.Hour,
	})
	handlers := map[tasks.Stage]int{}
	for _, stage := range tasks.Stages() {
		handlers[stage] = 4
	}
	return p.Serve(rdb, handlers, time.Second)
}

// submit hands in the samples and waits for their ends.
func submit(ctx context.Context, client *tasks.Client) ([]*tasks.Job, error) {
	var jobs []*tasks.Job
	for _, r := range samples {
		job, err := client.Submit(ctx, r)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	for i, job := range jobs {
		settled, err := client.Wait(ctx, job.ID)
		if err != nil {
			return nil, err
		}
		jobs[i] = settled
	}
	return jobs, nil
}

func report(w io.Writer, jobs []*tasks.Job, api magichourtest.Totals) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "OPERATION\tSTATE\tREMOTE\tPOLLS\tCREDITS\tFILE\tBYTES")
	for _, job := range jobs {
		remote := ""
		if job.Remote != nil {
			remote = string(*job.Remote)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d", job.Operation, job.State, remote, job.Polls, job.CreditsCharged)
		for i, o := range job.Outputs {
			if i > 0 {
				_, _ = fmt.Fprint(table, "\t\t\t\t")
			}
			_, _ = fmt.Fprintf(table, "\t%s\t%d\n", o.URL, o.Size)
		}
		if len(job.Outputs) == 0 {
			_, _ = fmt.Fprintln(table, "\t\t")
		}
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(w, "\nThe API saw %d creates, %d polls, %d downloads and %d deletes.\n", api.Creates, api.Polls, api.Downloads, api.Deletes)
}
