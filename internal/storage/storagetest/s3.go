package storagetest

import (
	"crypto/md5" //nolint:gosec // what S3 makes ETags of
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/minio/crc64nvme"

	"github.com/seed-290c2414/hourglass/internal/storage"
)

// S3 is an S3 server in memory, for tests that inject faults by the thousand: it starts in no time
// and forgets everything. It speaks path style, takes any signature of its key, and believes
// nothing: like AWS it computes every CRC64NVME itself and refuses what does not fit, before
// anything is visible. It passes the same suite as versitygw, which is the witness beside it.
type S3 struct {
	Endpoint  string // "http://127.0.0.1:port"
	AccessKey string

	// Bad makes it one that verifies nothing and echoes the checksum that it was told; and that changes a
	// bit of the first object that it is given.
	Bad bool

	mu      sync.Mutex
	objects map[string]map[string]object // by bucket and key
	uploads map[string]*upload           // by id
	begun   int                          // uploads so far
	damaged bool                         // the first object was given
}

// object is what stands at a key.
type object struct {
	data   []byte
	crc    string      // base64
	header http.Header // content type and metadata, as they were sent
	etag   string
}

// NewS3 starts a server with the given buckets, which ends with the test.
func NewS3(t testing.TB, buckets ...string) *S3 {
	s := &S3{AccessKey: "in-memory", objects: map[string]map[string]object{}, uploads: map[string]*upload{}}
	for _, bucket := range buckets {
		s.objects[bucket] = map[string]object{}
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.Endpoint = server.URL
	return s
}

// Options says how to reach the server, for storage.Open.
func (s *S3) Options(more ...storage.AWSOption) storage.Options {
	return storage.Options{PathStyle: true, AWS: append([]storage.AWSOption{
		config.WithBaseEndpoint(s.Endpoint), config.WithRegion("us-east-1"),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(s.AccessKey, "any", "")),
	}, more...)}
}

// Add puts an object into a bucket, over what stands there.
func (s *S3) Add(bucket, key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[bucket][key] = object{data: data, crc: base64CRC(crc64nvme.Checksum(data)), header: http.Header{}, etag: etag(data)}
}

// DropETag makes an object one without an ETag, as some servers have of files that they find in their folder.
func (s *S3) DropETag(bucket, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[bucket][key]
	o.etag = ""
	s.objects[bucket][key] = o
}

// Operation names a request as the S3 documentation does.
func Operation(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodPut && query.Has("partNumber"):
		return "UploadPart"
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodPost && query.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPost:
		return "CompleteMultipartUpload"
	case r.Method == http.MethodHead:
		return "HeadObject"
	case r.Method == http.MethodGet && query.Has("uploads"):
		return "ListMultipartUploads"
	case r.Method == http.MethodGet:
		return "GetObject"
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		return "AbortMultipartUpload"
	}
	return r.Method
}

// refusal is an answer that says no.
type refusal struct {
	XMLName xml.Name `xml:"Error"`
	Status  int      `xml:"-"`
	Code    string
	Message string
}

func refuse(status int, code, format string, a ...any) *refusal {
	return &refusal{Status: status, Code: code, Message: fmt.Sprintf(format, a...)}
}

// ServeHTTP implements http.Handler.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if no := s.answer(w, r); no != nil {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(no.Status)
		_ = xml.NewEncoder(w).Encode(no)
	}
}

func (s *S3) answer(w http.ResponseWriter, r *http.Request) *refusal {
	if !strings.Contains(r.Header.Get("Authorization"), "Credential="+s.AccessKey+"/") {
		return refuse(http.StatusForbidden, "InvalidAccessKeyId", "no such key")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	_, known := s.objects[bucket]
	s.mu.Unlock()
	if !known {
		return refuse(http.StatusNotFound, "NoSuchBucket", "no bucket %s", bucket)
	}
	switch Operation(r) {
	case "PutObject":
		return s.put(w, r, bucket, key)
	case "HeadObject", "GetObject":
		return s.get(w, r, bucket, key)
	case "CreateMultipartUpload":
		return s.begin(w, r, bucket, key)
	case "UploadPart":
		return s.part(w, r, bucket, key)
	case "CompleteMultipartUpload":
		return s.complete(w, r, bucket, key)
	case "AbortMultipartUpload":
		return s.abort(w, r, bucket, key)
	case "ListMultipartUploads":
		return s.list(w, r, bucket)
	}
	return refuse(http.StatusNotImplemented, "NotImplemented", "%s %s", r.Method, r.URL.Path)
}

const crcHeader = "X-Amz-Checksum-Crc64nvme"

// receive reads a body whole and holds it against its checksum. What the sender has not finished
// never was.
func (s *S3) receive(r *http.Request) (data []byte, crc string, no *refusal) {
	if r.ContentLength < 0 || r.Header.Get("Content-Encoding") != "" {
		return nil, "", refuse(http.StatusNotImplemented, "NotImplemented", "a body without a length, or encoded")
	}
	data = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, data); err != nil {
		return nil, "", refuse(http.StatusBadRequest, "IncompleteBody", "%v", err)
	}
	crc, no = s.verify(r, data)
	return data, crc, no
}

// verify refuses a request whose checksum is not that of the bytes.
func (s *S3) verify(r *http.Request, data []byte) (crc string, no *refusal) {
	told := r.Header.Get(crcHeader)
	if s.Bad && told != "" {
		return told, nil
	}
	crc = base64CRC(crc64nvme.Checksum(data))
	if told != "" && told != crc {
		return "", refuse(http.StatusBadRequest, "BadDigest", "the CRC64NVME you specified did not match what we received")
	}
	return crc, nil
}

func (s *S3) put(w http.ResponseWriter, r *http.Request, bucket, key string) *refusal {
	data, crc, no := s.receive(r)
	if no != nil {
		return no
	}
	return s.publish(w, r, bucket, key, object{data: data, crc: crc, header: described(r), etag: etag(data)})
}

// publish makes an object visible, in one step, unless one stands there that must not be replaced.
func (s *S3) publish(w http.ResponseWriter, r *http.Request, bucket, key string, o object) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, stands := s.objects[bucket][key]; stands && r.Header.Get("If-None-Match") == "*" {
		return refuse(http.StatusPreconditionFailed, "PreconditionFailed", "an object stands there")
	}
	if s.Bad && !s.damaged && !strings.Contains(key, ".hourglass-check") {
		s.damaged = true
		o.data[0] ^= 1
	}
	s.objects[bucket][key] = o
	w.Header().Set("ETag", o.etag)
	w.Header().Set(crcHeader, o.crc)
	w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	return nil
}

// described is what a request says of an object beside its bytes.
func described(r *http.Request) http.Header {
	kept := http.Header{"Content-Type": {r.Header.Get("Content-Type")}}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			kept[name] = slices.Clone(values)
		}
	}
	return kept
}

func etag(data []byte) string {
	sum := md5.Sum(data) //nolint:gosec // what S3 makes ETags of
	return `"` + hex.EncodeToString(sum[:]) + `"`
}
