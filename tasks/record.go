package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// DecodeJob reads a record. Unknown fields are tolerated, and kept in Later; a record of a later
// version is ErrVersion.
func DecodeJob(data []byte) (*Job, error) {
	if job := decodeKnown(data); job != nil {
		return job, nil
	}
	var job Job
	if err := json.Unmarshal(data, &job); err != nil {
		return nil, fmt.Errorf("record of a job: %w", err)
	}
	if job.V > Version {
		return nil, fmt.Errorf("record of job %s: version %d: %w", job.ID, job.V, ErrVersion)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("record of a job: %w", err)
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return fields()[name] })
	if len(all) > 0 {
		job.Later = all
	}
	return &job, nil
}

// decodeKnown reads a record that has no unknown fields, as nearly all are, in one go; nil is any other.
func decodeKnown(data []byte) *Job {
	var job Job
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&job); err != nil || job.V > Version || d.InputOffset() != int64(len(data)) {
		return nil
	}
	return &job
}

// Encode writes the record as compact JSON, with the fields that only a later version knows.
func (j *Job) Encode() ([]byte, error) {
	text, err := encode(j)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(j.Later)) {
		field, err := encode(map[string]json.RawMessage{name: j.Later[name]})
		if err != nil {
			return nil, err
		}
		text = append(append(text[:len(text)-1], ','), field[1:]...)
	}
	return text, nil
}

// fields are the names of the record's fields in JSON.
var fields = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, t := range []reflect.Type{reflect.TypeFor[Status](), reflect.TypeFor[Job]()} {
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[name] = true
		}
	}
	return names
})
