package tasks

import "time"

// A Manifest is written beside the files of a job, as <job id>/manifest.json, last: where it stands, the set is
// complete and every file was proved.
type Manifest struct {
	V              int               `json:"v"` // version of this form: 1
	JobID          string            `json:"job_id"`
	Operation      string            `json:"operation"`
	Kind           string            `json:"kind"`       // video, image or audio
	ProjectID      string            `json:"project_id"` // Magic Hour's id
	CreditsCharged int               `json:"credits_charged"`
	CreatedAt      time.Time         `json:"created_at"` // when the job was accepted
	Tenant         string            `json:"tenant,omitempty"`
	Metadata       map[string]string `json:"metadata,omitempty"` // the caller's own
	Outputs        []ManifestFile    `json:"outputs"`
}

// A ManifestFile is one file of a Manifest.
type ManifestFile struct {
	Output
	Source    string `json:"source"`               // path of its URL at Magic Hour, without query
	OpenEnded bool   `json:"open_ended,omitempty"` // nothing said where the source ends: see Source
}
