package tasks

import "time"

var epoch = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func sampleOptions() Options {
	return Options{
		Overwrite: true, Priority: PriorityHigh, Tenant: "acme", GiveUp: Duration(36 * time.Hour), KeyPrefix: "2026/acme",
		Metadata: map[string]string{"order": "4711"}, KeepRemote: true,
		Notify: Notify{URL: "https://example.com/hook", Task: &NotifyTask{Queue: "media", Type: "media:ready"}, Stream: "acme:media"},
	}
}

// sampleJob has every field, as no real job has.
func sampleJob() *Job {
	at := epoch.Add(time.Minute)
	deleted, reason := RemoteDeleted, "it was gone before the cleanup"
	job := &Job{
		Status: Status{
			V: 1, ID: "j1", Operation: "ai-image-generator", Kind: "image", State: Done, ProjectID: "cmp1", CreditsCharged: 10, Polls: 3,
			Outputs: []Output{{N: 1, Key: "media/j1/1.png", URL: "s3://bucket/media/j1/1.png", Size: 123, Checksum: "crc64nvme:AAAAAAAAAAA=", ContentType: "image/png"}},
			Remote:  &deleted, RemoteReason: &reason,
			Error:    &Error{Stage: "create", Code: "unknown_outcome", Message: "the answer was lost", Hint: "look for the project"},
			Hold:     &Hold{Code: "insufficient_credits", Message: "buy <more> & wait", Since: epoch},
			Warnings: []string{"model: not a value this version knows; sent as it is"},
			ETA:      &at, CreatedAt: epoch, UpdatedAt: at, StoredAt: &at, DoneAt: &at,
		},
		Body:         []byte(`{"image_count":1,"style":{"prompt":"<tin> & robot"}}`),
		Options:      sampleOptions(),
		Epoch:        2,
		Attempts:     []Attempt{{Token: "a1", At: epoch, Outcome: NotCharged}, {Token: "a2", At: epoch, Outcome: Charged}, {Token: "a3", At: epoch}},
		StateAt:      at,
		RemoteStatus: "complete",
		ProjectAt:    &at, PolledAt: &at, QueuedAt: &at, RenderingAt: &at, MissingSince: &at, MissingAt: &at, FreeSince: &at,
		Unproved: 1,
		Sources:  []Source{{N: 1, Path: "/p/output.png", Checksum: "crc64nvme:AAAAAAAAAAA=", OpenEnded: true}},
		Orphans:  []string{"cmp2"},
		Earlier:  []string{"cmp0"},
		Inputs:   []Input{{Ref: "s3://bucket/in.png", Type: "image", ETag: "e", Size: 5, Content: "c", FilePath: "api-assets/x/in.png", UploadedAt: epoch}},
		Trace:    Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=1", Create: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"},
	}
	job.Unsent = []Unsent{{Notice: sampleNotice(job), To: []Way{WayTask, WayStream}, GivenUp: []Way{WayURL}, Again: 1}}
	return job
}

func sampleNotice(job *Job) Notice {
	return Notice{V: 1, ID: "msg_1", Type: NoticeStored, Timestamp: epoch, Job: job.View()}
}

func samplePayloads() map[string]Payload {
	h := Header{V: 1, JobID: "j1", Epoch: 2, Operation: "ai-image-generator"}
	return map[string]Payload{
		"create":   &Create{Header: h, Body: sampleJob().Body, JobOptions: sampleOptions(), CreatedAt: epoch},
		"poll":     &Poll{Header: h, ProjectID: "cmp1", N: 3, Status: "rendering"},
		"download": &Download{Header: h, ProjectID: "cmp1"},
		"cleanup":  &Cleanup{Header: h, ProjectID: "cmp1"},
		"notify":   &Notification{Header: h, Notice: "msg_1", To: WayURL, Again: 1},
	}
}

// samples are one of each form of the contract, with every field, by the name of its golden file.
func samples() map[string]any {
	job := sampleJob()
	notice := sampleNotice(job)
	all := map[string]any{
		"record.json": job,
		"notice.json": &notice,
		"request.json": &Request{
			ID: "j1", Operation: job.Operation, Body: job.Body, Options: sampleOptions(),
		},
		"manifest.json": &Manifest{
			V: 1, JobID: "j1", Operation: job.Operation, Kind: "image", ProjectID: "cmp1", CreditsCharged: 10, CreatedAt: epoch, Tenant: "acme",
			Metadata: job.Options.Metadata, Outputs: []ManifestFile{{Output: job.Outputs[0], Source: "/p/output.png", OpenEnded: true}},
		},
	}
	for name, p := range samplePayloads() {
		all[name+".json"] = p
	}
	return all
}
