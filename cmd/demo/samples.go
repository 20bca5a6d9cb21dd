package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-290c2414/hourglass/tasks"
)

// A sample is a job that the demo submits, and how it is to end.
type sample struct {
	operation, body string
	failsWith       string // an error code; empty: it is to be done
}

// samples are a job of each kind and some more. What they refer to as their inputs exists nowhere:
// the fake API asks nobody for it.
var samples = []sample{
	{operation: "text-to-video", body: `{"end_seconds":5,"style":{"prompt":"a tin robot waves"}}`},
	{operation: "ai-image-generator", body: `{"image_count":4,"style":{"prompt":"a tin robot, four times"}}`},
	{operation: "ai-voice-generator", body: `{"style":{"prompt":"Good evening, I am a tin robot.","voice_name":"Morgan Freeman"}}`},
	{operation: "ai-gif-generator", body: `{"style":{"prompt":"a tin robot dances"}}`},
	{operation: "image-to-video", body: `{"end_seconds":4,"assets":{"image_file_path":"https://example.com/robot.png"}}`},
	{
		// The fake API reads in the project's name how its render is to go.
		operation: "face-swap",
		body: `{"name":"robots have no face [fake error=no_source_face]","start_seconds":0,"end_seconds":3,
			"assets":{"video_source":"file","video_file_path":"https://example.com/robot.mp4","image_file_path":"https://example.com/portrait.png"}}`,
		failsWith: "no_source_face",
	},
}

// submit hands in the samples, under ids that a person can read and that no run before has used.
// They have no dash: Asynqmon's lists show an id up to its first one only.
func submit(ctx context.Context, client *tasks.Client, samples []sample) (ids []string, err error) {
	suffix := "_" + strings.ToLower(rand.Text()[:6])
	for _, s := range samples {
		id := strings.ReplaceAll(s.operation, "-", "_") + suffix
		job, err := client.Submit(ctx, tasks.Request{ID: id, Operation: s.operation, Body: json.RawMessage(s.body)})
		if err != nil {
			return nil, fmt.Errorf("submit %s: %w", s.operation, err)
		}
		ids = append(ids, job.ID)
	}
	return ids, nil
}

// judge holds the ends of the jobs against what the samples are to come to.
func judge(samples []sample, jobs []*tasks.Job) error {
	var wrong []string
	for i, s := range samples {
		if got, want := endOf(jobs[i]), s.end(); got != want {
			wrong = append(wrong, fmt.Sprintf("%s is %s and should be %s", jobs[i].ID, got, want))
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not every job ended as it should: %s", strings.Join(wrong, "; "))
	}
	return nil
}

func (s sample) end() string {
	if s.failsWith != "" {
		return string(tasks.Failed) + " with " + s.failsWith
	}
	return string(tasks.Done)
}

func endOf(job *tasks.Job) string {
	if job.Error != nil {
		return string(job.State) + " with " + job.Error.Code
	}
	return string(job.State)
}
