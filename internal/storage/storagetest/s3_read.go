package storagetest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *S3) get(w http.ResponseWriter, r *http.Request, bucket, key string) *refusal {
	s.mu.Lock()
	o, stands := s.objects[bucket][key]
	s.mu.Unlock()
	if !stands {
		return refuse(http.StatusNotFound, "NoSuchKey", "no object %s", key)
	}
	for name, values := range o.header {
		w.Header()[name] = values
	}
	w.Header().Set("ETag", o.etag)
	if r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" && r.Header.Get("Range") == "" {
		w.Header().Set(crcHeader, o.crc)
		w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.data))
	return nil
}

// Uploads lists the multipart uploads that were begun and neither completed nor aborted, as
// "bucket/key": parts that nobody sees and somebody pays for.
func (s *S3) Uploads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []string
	for _, u := range s.uploads {
		open = append(open, u.bucket+"/"+u.key)
	}
	slices.Sort(open)
	return open
}

func (s *S3) list(w http.ResponseWriter, r *http.Request, bucket string) *refusal {
	type entry struct {
		Key, UploadId, Initiated string
	}
	answer := struct {
		XMLName xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket  string
		Upload  []entry
	}{Bucket: bucket}
	s.mu.Lock()
	for id, u := range s.uploads {
		if u.bucket == bucket && strings.HasPrefix(u.key, r.URL.Query().Get("prefix")) {
			answer.Upload = append(answer.Upload, entry{u.key, id, u.begun.UTC().Format(time.RFC3339)})
		}
	}
	s.mu.Unlock()
	return say(w, answer)
}

// say answers in XML.
func say(w http.ResponseWriter, answer any) *refusal {
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer) // a client that has gone is no concern of the server
	return nil
}

func base64CRC(crc uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, crc))
}
