package storagetest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// leastPart is the size that S3 demands of every part but the last.
const leastPart = 5 << 20

// upload is a multipart upload on its way.
type upload struct {
	bucket, key string
	header      http.Header
	begun       time.Time
	parts       map[int]object
}

func (s *S3) begin(w http.ResponseWriter, r *http.Request, bucket, key string) *refusal {
	s.mu.Lock()
	s.begun++
	id := fmt.Sprintf("upload-%d", s.begun)
	s.uploads[id] = &upload{bucket: bucket, key: key, header: described(r), begun: time.Now(), parts: map[int]object{}}
	s.mu.Unlock()
	return say(w, struct {
		XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket, Key, UploadId string
	}{Bucket: bucket, Key: key, UploadId: id})
}

// find returns the upload that a request names. The caller holds the lock.
func (s *S3) find(r *http.Request, bucket, key string) (*upload, *refusal) {
	u, open := s.uploads[r.URL.Query().Get("uploadId")]
	if !open || u.bucket != bucket || u.key != key {
		return nil, refuse(http.StatusNotFound, "NoSuchUpload", "it was completed or aborted, or never begun")
	}
	return u, nil
}

func (s *S3) part(w http.ResponseWriter, r *http.Request, bucket, key string) *refusal {
	data, crc, no := s.receive(r)
	if no != nil {
		return no
	}
	number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if err != nil || number < 1 || number > 10_000 {
		return refuse(http.StatusBadRequest, "InvalidArgument", "part number")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, no := s.find(r, bucket, key)
	if no != nil {
		return no
	}
	u.parts[number] = object{data: data, crc: crc, etag: etag(data)}
	w.Header().Set("ETag", u.parts[number].etag)
	w.Header().Set(crcHeader, crc)
	return nil
}

// complete makes the parts an object, or refuses and leaves the upload as it is.
func (s *S3) complete(w http.ResponseWriter, r *http.Request, bucket, key string) *refusal {
	var wanted struct {
		Part []struct {
			PartNumber              int
			ETag, ChecksumCRC64NVME string
		}
	}
	if err := xml.NewDecoder(r.Body).Decode(&wanted); err != nil || len(wanted.Part) == 0 {
		return refuse(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	s.mu.Lock()
	u, no := s.find(r, bucket, key)
	if no != nil {
		s.mu.Unlock()
		return no
	}
	var whole bytes.Buffer
	last := 0
	for i, want := range wanted.Part {
		p, sent := u.parts[want.PartNumber]
		switch {
		case want.PartNumber <= last:
			no = refuse(http.StatusBadRequest, "InvalidPartOrder", "part %d", want.PartNumber)
		case !sent || p.etag != want.ETag || want.ChecksumCRC64NVME != "" && p.crc != want.ChecksumCRC64NVME:
			no = refuse(http.StatusBadRequest, "InvalidPart", "part %d", want.PartNumber)
		case i < len(wanted.Part)-1 && len(p.data) < leastPart:
			no = refuse(http.StatusBadRequest, "EntityTooSmall", "part %d", want.PartNumber)
		}
		last = want.PartNumber
		whole.Write(p.data)
	}
	s.mu.Unlock()
	if no != nil {
		return no
	}
	return s.assemble(w, r, u, whole.Bytes())
}

// assemble holds the whole against what the request says of it, and publishes it.
func (s *S3) assemble(w http.ResponseWriter, r *http.Request, u *upload, data []byte) *refusal {
	crc, no := s.verify(r, data)
	if no != nil {
		return no
	}
	if size := r.Header.Get("X-Amz-Mp-Object-Size"); size != "" && size != strconv.Itoa(len(data)) {
		return refuse(http.StatusBadRequest, "InvalidRequest", "the object has %d bytes, not %s", len(data), size)
	}
	o := object{data: data, crc: crc, header: u.header, etag: fmt.Sprintf(`"%s-%d"`, crc, len(u.parts))}
	if no := s.publish(w, r, u.bucket, u.key, o); no != nil {
		return no
	}
	s.mu.Lock()
	delete(s.uploads, r.URL.Query().Get("uploadId"))
	s.mu.Unlock()
	return say(w, struct {
		XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket, Key, ETag string
	}{Bucket: u.bucket, Key: u.key, ETag: o.etag})
}

func (s *S3) abort(w http.ResponseWriter, r *http.Request, bucket, key string) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, no := s.find(r, bucket, key); no != nil {
		return no
	}
	delete(s.uploads, r.URL.Query().Get("uploadId"))
	w.WriteHeader(http.StatusNoContent)
	return nil
}
